"""The stamp says what wrote an output."""

import hashlib
import sys

import torch

from megabase.run.provenance import file_sha256, machine, stamp


def test_the_stamp_has_command_versions_and_machine(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/bin/megabase", "score", "--output", "a b"])
    written = stamp()
    assert written["command"] == "megabase score --output 'a b'"
    assert written["versions"]["torch"] == torch.__version__
    assert written["machine"] == machine()


def test_the_hash_of_a_file_is_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"ACGT")
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"ACGT").hexdigest()
