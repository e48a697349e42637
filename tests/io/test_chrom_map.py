"""A map of contigs has two names a line."""

import gzip

import pytest

from megabase.io.genome_file import read_chrom_map


def test_each_line_leads_from_the_file_to_the_genome(tmp_path):
    (tmp_path / "map").write_text("1\tchrI\n\n2 chrII\n")
    assert read_chrom_map(tmp_path / "map") == {"1": "chrI", "2": "chrII"}


def test_a_line_without_two_names_is_an_error(tmp_path):
    (tmp_path / "map").write_text("1 chrI\n2\n")
    with pytest.raises(ValueError, match="line 2: expected two names"):
        read_chrom_map(tmp_path / "map")
    with pytest.raises(ValueError, match="there is no file"):
        read_chrom_map(tmp_path / "none")


def test_it_may_be_compressed(tmp_path):
    (tmp_path / "map.gz").write_bytes(gzip.compress(b"1 chrI\n"))
    assert read_chrom_map(tmp_path / "map.gz") == {"1": "chrI"}


def test_a_name_with_two_meanings_is_an_error(tmp_path):
    (tmp_path / "map").write_text("1 chrI\n1 chrI\n1 chrII\n")
    with pytest.raises(ValueError, match=r"line 3: '1' is 'chrII' here and 'chrI' above"):
        read_chrom_map(tmp_path / "map")


def test_a_byte_order_mark_is_ignored_and_other_encodings_are_an_error(tmp_path):
    (tmp_path / "map").write_bytes(b"\xef\xbb\xbf1 chrI\r\n")
    assert read_chrom_map(tmp_path / "map") == {"1": "chrI"}
    (tmp_path / "map").write_bytes(b"\xff\xfe1\x00 \x00")
    with pytest.raises(ValueError, match="map is UTF-16 text"):
        read_chrom_map(tmp_path / "map")
