"""The first block tells how a file is compressed, and the last whether it is whole."""

import gzip

import pysam
import pytest

from megabase.io.compression import check_bgzip_is_whole, compression


def test_each_kind_is_known_by_its_first_block(tmp_path):
    with pysam.BGZFile(str(tmp_path / "bgzip"), "wb") as file:
        file.write(b"ACGT")
    (tmp_path / "gzip").write_bytes(gzip.compress(b"ACGT"))
    (tmp_path / "none").write_bytes(b"ACGT")
    for kind in ("bgzip", "gzip", "none"):
        assert compression(tmp_path / kind) == kind


def test_a_bgzip_file_without_its_end_is_an_error(tmp_path):
    path = tmp_path / "bgzip"
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(b"ACGT")
    check_bgzip_is_whole(path, name="it")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"^it is cut short: .* end marker is missing"):
        check_bgzip_is_whole(path, name="it")
