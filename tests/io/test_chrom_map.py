"""A map of contigs has two names a line."""

import pytest

from megabase.io.chrom_map import read_chrom_map


def test_each_line_leads_from_the_file_to_the_genome(tmp_path):
    (tmp_path / "map").write_text("1\tchrI\n\n2 chrII\n")
    assert read_chrom_map(tmp_path / "map") == {"1": "chrI", "2": "chrII"}


def test_a_line_without_two_names_is_an_error(tmp_path):
    (tmp_path / "map").write_text("1 chrI\n2\n")
    with pytest.raises(ValueError, match="line 2: expected two names"):
        read_chrom_map(tmp_path / "map")
    with pytest.raises(ValueError, match="there is no file"):
        read_chrom_map(tmp_path / "none")
