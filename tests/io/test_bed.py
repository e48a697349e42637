"""BED lines become intervals, or an error that names the line."""

import gzip

import pytest

from megabase.genome.interval import Interval
from megabase.io.bed import read_bed, write_bed


def test_columns_after_the_third_may_be_missing(tmp_path):
    path = tmp_path / "regions.bed"
    path.write_text(
        "# a comment\ntrack name=x\nchrI\t5\t9\nchrI 10 20 geneA\n\nchrII\t0\t7\tgeneB\t0\t-\n"
    )
    assert read_bed(path) == [
        (Interval("chrI", 5, 9), "chrI:5-9"),
        (Interval("chrI", 10, 20), "geneA"),
        (Interval("chrII", 0, 7, "-"), "geneB"),
    ]


def test_a_packed_file_is_read_too(tmp_path):
    path = tmp_path / "regions.bed.gz"
    path.write_bytes(gzip.compress(b"chrI\t5\t9\n"))
    assert read_bed(path)[0].interval == Interval("chrI", 5, 9)


def test_what_was_written_is_read_back(tmp_path):
    intervals = [Interval("chrI", 5, 9), Interval("chrII", 0, 7)]
    write_bed(intervals, tmp_path / "regions.bed")
    assert [record.interval for record in read_bed(tmp_path / "regions.bed")] == intervals


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chrI\t5", "line 2: expected contig, start and end"),
        ("chrI\tfive\t9", "line 2: expected contig, start and end"),
        ("chrI\t9\t5", "line 2: an interval needs 0 <= start < end"),
    ],
)
def test_a_line_that_is_no_interval_is_an_error_with_its_number(tmp_path, line, message):
    path = tmp_path / "regions.bed"
    path.write_text(f"chrI\t0\t5\n{line}\n")
    with pytest.raises(ValueError, match=message):
        read_bed(path)


def test_a_file_without_intervals_is_an_error(tmp_path):
    (tmp_path / "regions.bed").write_text("# nothing\n")
    with pytest.raises(ValueError, match="holds no interval"):
        read_bed(tmp_path / "regions.bed")
    with pytest.raises(ValueError, match="no BED file"):
        read_bed(tmp_path / "none.bed")


def test_a_contig_may_begin_like_a_header(tmp_path):
    (tmp_path / "a.bed").write_text("track name=x\nbrowser hide\ntrack_1\t0\t5\nchrI\t1\t2\n")
    names = [record.interval.contig for record in read_bed(tmp_path / "a.bed")]
    assert names == ["track_1", "chrI"]
