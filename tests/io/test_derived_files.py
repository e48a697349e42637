"""A hash is that of the bytes as they are now."""

import hashlib
import os

from megabase.io import derived_files
from megabase.io.derived_files import file_sha256, remembered_sha256


def test_the_hash_of_a_file_is_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"ACGT")
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"ACGT").hexdigest()


def test_a_hash_is_remembered_until_the_file_changes_whatever_its_date(tmp_path, monkeypatch):
    path, cache = tmp_path / "f", tmp_path / "cache"
    path.write_bytes(b"ACGT")
    monkeypatch.setattr(derived_files, "_SETTLED_NS", 0)
    first = remembered_sha256(path, cache)
    assert first == hashlib.sha256(b"ACGT").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(derived_files, "file_sha256", None)
        assert remembered_sha256(path, cache) == first
    stat = path.stat()
    while path.stat().st_ctime_ns == stat.st_ctime_ns:  # until the clock of the disk has moved
        path.write_bytes(b"GGGG")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert remembered_sha256(path, cache) == hashlib.sha256(b"GGGG").hexdigest()


def test_the_hash_of_a_file_that_changed_just_now_is_not_remembered(tmp_path):
    (tmp_path / "f").write_bytes(b"ACGT")
    remembered_sha256(tmp_path / "f", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
