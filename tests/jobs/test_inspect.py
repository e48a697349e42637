"""A model and a computer are described by what they are."""

from megabase.jobs import inspect
from megabase.jobs.inspect import describe_computer, describe_model
from megabase.model.load import save, weights_sha256
from tests import toys

MODEL = toys.model()


def test_a_model_is_described_with_the_memory_for_a_length(tmp_path):
    save(MODEL, tmp_path)
    about = describe_model(str(tmp_path), length=32)
    assert about["parameters"] == sum(p.numel() for p in MODEL.parameters())
    assert (about["context_length"], about["length"], about["length_fits"]) == (64, 32, True)
    assert about["weights_sha256"] == weights_sha256(MODEL)
    assert about["config"]["max_seq_len"] == 66
    longer = describe_model(str(tmp_path), length=1_000_000)
    assert longer["inference_gib"] > about["inference_gib"]
    assert not longer["length_fits"]


def test_the_computer_is_described_from_versions_to_cache():
    names = [finding.name for finding in describe_computer()]
    assert {"machine", "python", "torch", "transformers", "cpu", "memory", "cache"} <= set(names)


def test_the_computer_is_said_to_lack_a_compiler(monkeypatch):
    def steps():
        return next(finding for finding in describe_computer() if finding.name == "steps")

    monkeypatch.setattr(inspect, "why_not_compiled", lambda: None)
    assert (steps().value, steps().note) == ("compiled by gcc", "")
    monkeypatch.setattr(inspect, "why_not_compiled", lambda: "gcc is not installed")
    assert steps().value == "not compiled"
    assert steps().note == "slower on a CPU: gcc is not installed"
