"""A computer is described by what it has and lacks."""

from megabase.pipelines import models as computer
from megabase.pipelines.models import describe_computer


def test_the_computer_is_described_from_versions_to_cache():
    names = [finding.name for finding in describe_computer()]
    assert {"machine", "python", "torch", "transformers", "cpu", "memory", "cache"} <= set(names)


def test_the_lack_of_a_compiler_is_reported(monkeypatch):
    def steps():
        return next(finding for finding in describe_computer() if finding.name == "steps")

    monkeypatch.setattr(computer, "why_not_compiled", lambda: None)
    assert (steps().value, steps().note) == ("compiled by gcc", "")
    monkeypatch.setattr(computer, "why_not_compiled", lambda: "gcc is not installed")
    assert steps().value == "not compiled"
    assert steps().note == "slower on a CPU: gcc is not installed"


def test_the_code_of_the_memory_is_reported(monkeypatch):
    def memory():
        return next(each for each in describe_computer() if each.name == "model memory")

    monkeypatch.setattr(computer, "why_memory_not_compiled", lambda: None)
    assert (memory().value, memory().note) == ("compiled by gcc", "")
    monkeypatch.setattr(computer, "why_memory_not_compiled", lambda: "gcc is not installed")
    assert memory().value == "not compiled"
    assert memory().note == "hundreds of times slower, in Python: gcc is not installed"
