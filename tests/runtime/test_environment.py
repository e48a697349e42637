"""The doctor finds what is there and says what is not; the stamp says what wrote an output."""

import re
import sys
import tomllib
from pathlib import Path

import torch

from megabase.runtime import environment
from megabase.runtime.environment import machine, stamp

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_stamp_has_command_versions_and_machine(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/bin/megabase", "score", "--output", "a b"])
    written = stamp()
    assert written["command"] == "megabase score --output 'a b'"
    assert written["versions"]["torch"] == torch.__version__
    assert written["machine"] == machine()


def test_a_missing_extra_names_what_brings_it(monkeypatch):
    monkeypatch.setattr(environment, "_EXTRAS", {"no-such-package": ("plot", "figures")})
    (finding,) = environment.extras()
    assert finding.value == "off"
    assert finding.note == "no figures; pip install 'megabase[plot]'"


def test_every_extra_for_users_is_reported_with_its_package():
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    packages = {
        re.split("[^a-z0-9-]", requirements[-1])[0]: extra
        for extra, requirements in extras.items()
        if extra not in ("all", "docs", "dev")
    }
    assert {package: extra for package, (extra, _) in environment._EXTRAS.items()} == packages
    assert [finding.name for finding in environment.extras()] == list(environment._EXTRAS)


def test_storage_looks_at_the_nearest_folder_that_exists(tmp_path):
    memory, cache = environment.storage(tmp_path / "not" / "yet")
    assert memory.value.endswith("GiB")
    assert cache.value.startswith(str(tmp_path / "not" / "yet"))
    assert cache.note == ""


def test_memory_is_what_a_container_may_take(monkeypatch, tmp_path):
    physical = environment.memory_bytes()
    monkeypatch.setattr(environment, "_CONTAINER_LIMIT", tmp_path / "memory.max")
    whole = environment.memory_bytes()
    assert whole >= physical
    (tmp_path / "memory.max").write_text("1000\n")
    assert environment.memory_bytes() == 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert environment.memory_bytes() == whole


def test_the_first_process_is_the_one_of_rank_zero(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert environment.is_first_process()
    monkeypatch.setenv("RANK", "1")
    assert not environment.is_first_process()
