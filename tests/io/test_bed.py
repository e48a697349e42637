"""BED lines become intervals, or an error that names the line."""

import gzip

import pytest

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.io.annotation import read_bed, read_regions, read_spliced


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


def test_regions_lie_within_the_genome(tmp_path):
    bed, lengths = tmp_path / "regions.bed", {"chr1": 20}
    bed.write_text("chr1\t0\t20\n")
    assert [each.interval for each in read_regions(bed, lengths, "g")] == [Interval("chr1", 0, 20)]
    bed.write_text("chr1\t0\t21\n")
    with pytest.raises(InputError, match="ends beyond its contig, which has 20 bp in g"):
        read_regions(bed, lengths, "g")
    bed.write_text("1\t0\t5\n")
    with pytest.raises(InputError, match="did you mean 'chr1'"):
        read_regions(bed, lengths, "g")


def test_a_packed_file_is_read_too(tmp_path):
    path = tmp_path / "regions.bed.gz"
    path.write_bytes(gzip.compress(b"chrI\t5\t9\n"))
    assert read_bed(path)[0].interval == Interval("chrI", 5, 9)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chrI\t5", "line 2: expected contig, start and end"),
        ("chrI\tfive\t9", "line 2: expected contig, start and end"),
        ("chrI\t9\t5", "line 2: an interval needs 0 <= start < end"),
        (f"chrI\t9\t{10**29}", "line 2: an interval needs 0 <= start < end < 2"),
        (f"chrI\t9\t{'9' * 5000}", "line 2: expected contig, start and end"),
        ("chrI\t1_0\t20", "line 2: expected contig, start and end"),
        ("chrI\t-1\t20", "line 2: expected contig, start and end"),
        ("track\t0\tfive", "line 2: expected contig, start and end"),
        ("browser\t0", "line 2: expected contig, start and end"),
    ],
)
def test_an_invalid_interval_is_an_error_with_its_line_number(tmp_path, line, message):
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


def test_a_contig_may_begin_like_a_header_or_have_its_name(tmp_path):
    headers = "track name=x\nbrowser hide all\nbrowser position chrI:1-9\ntrack\n"
    rows = "track_1\t0\t5\ntrack\t0\t5\nbrowser 3 6\nchrI\t1\t2"
    (tmp_path / "a.bed").write_text(headers + rows)
    names = [record.interval.contig for record in read_bed(tmp_path / "a.bed")]
    assert names == ["track_1", "track", "browser", "chrI"]


@pytest.mark.parametrize(
    ("text", "strand"),
    [("+", "+"), (".", "+"), ("1", "+"), ("+1", "+"), ("-", "-"), ("-1", "-"), ("-1.0", "-")],
)
def test_a_strand_may_be_a_sign_or_a_number(tmp_path, text, strand):
    (tmp_path / "a.bed").write_text(f"chrI\t0\t5\tgene\t0\t{text}\n")
    assert read_bed(tmp_path / "a.bed")[0].interval == Interval("chrI", 0, 5, strand)


@pytest.mark.parametrize("text", ["- ", " -", "minus", "", "0", "2", "−", "-\t", "--", "+-"])
def test_another_strand_is_refused_with_its_line(tmp_path, text):
    text = text.replace("\t", " \t")
    (tmp_path / "a.bed").write_text(f"chrI\t0\t5\ta\t0\t-\nchrI\t0\t5\tgene\t0\t{text}\n")
    with pytest.raises(ValueError, match=r"a.bed, line 2: a strand is \+, -, 1, \+1, -1, or \."):
        read_bed(tmp_path / "a.bed")


@pytest.mark.parametrize(
    "line",
    ["chrI 0 5 gene A 0 -", "chrI 0 5 gene A", "chrI 0 5 exon 2 1 -", "chrI 0 5 exon 2 1 -1"],
)
def test_a_name_with_a_blank_does_not_move_the_columns_of_a_line_without_tabs(tmp_path, line):
    (tmp_path / "a.bed").write_text(f"chrI 0 5 gene 0 -\n{line}\n")
    with pytest.raises(
        ValueError, match=r"line 2: .* six columns, .* separate the columns by tabs"
    ):
        read_bed(tmp_path / "a.bed")
    name = line.removeprefix("chrI 0 5 ").removesuffix(" 0 -")
    (tmp_path / "a.bed").write_text(f"chrI\t0\t5\t{name}\t0\t-\n")
    assert read_bed(tmp_path / "a.bed") == [(Interval("chrI", 0, 5, "-"), name)]


def test_a_line_of_columns_split_at_blanks_may_have_all_columns(tmp_path):
    peak = "chrI 0 5 peak 12.5 - 3.1e-2 -1 -1 2"
    genes = "chrI 0 9 gene . + 2 5 255,0,0 2 3,2, 0,7,"
    (tmp_path / "a.bed").write_text(f"{peak}\n{genes}\n")
    assert read_bed(tmp_path / "a.bed") == [
        (Interval("chrI", 0, 5, "-"), "peak"),
        (Interval("chrI", 0, 9), "gene"),
    ]


def test_the_log_counts_intervals_behind_a_comment_sign(tmp_path, caplog):
    text = "# a comment\n#chrom\tstart\tend\n#1\t0\t5\nchrI\t0\t5\n# chrI 7 9\n"
    (tmp_path / "a.bed").write_text(text)
    with caplog.at_level("INFO"):
        assert len(read_bed(tmp_path / "a.bed")) == 1
    assert "a.bed: 1 intervals are skipped because their lines start with #" in caplog.text


BED12 = "chrI\t10\t40\tgene\t0\t-\t10\t40\t0\t3\t5,6,10,\t0,8,20,\n"


@pytest.mark.parametrize("text", [BED12, BED12.replace("\t", " "), BED12.replace(",\t", "\t")])
def test_the_blocks_of_bed12_are_the_exons_of_a_transcript(tmp_path, text):
    (tmp_path / "a.bed").write_text(f"track name=x\n{text}")
    places = [(10, 15), (18, 24), (30, 40)]
    exons = tuple(Interval("chrI", start, end, "-") for start, end in places)
    assert read_spliced(tmp_path / "a.bed") == [("gene", exons)]


def test_included_introns_are_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    one_block = BED12.replace("\t3\t5,6,10,\t0,8,20,", "\t1\t30,\t0,")
    (tmp_path / "a.bed").write_text(one_block)
    assert len(read_bed(tmp_path / "a.bed")) == 1
    assert not caplog.records
    (tmp_path / "a.bed").write_text(one_block + BED12)
    assert len(read_bed(tmp_path / "a.bed")) == 2
    assert "a.bed: 1 intervals have several blocks (BED12): the introns" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\t3\t", "\t2\t", "as many block sizes and starts as blockCount, .* 3, 3 and 2"),
        ("\t3\t5,6,10,", "\t2\t5,6,", "as many .* got 2, 3 and 2"),
        ("\t3\t5,6,10,\t0,8,20,", "\t0\t\t", "the blocks are invalid"),
        ("5,6,10,", "5,x,10,", "the blocks are invalid: .* got 'x'"),
        ("0,8,20,", "0,-8,20,", "the blocks are invalid: .* got '-8'"),
        ("5,6,10,", "5,6,11,", "expected blocks of at least 1 base that lie within the 30 bp"),
        ("5,6,10,", "5,0,10,", "expected blocks of at least 1 base"),
        ("5,6,10,", "9,6,10,", "sorted and without overlap; got sizes 9,6,10, and starts 0,8,20,"),
        ("0,8,20,", "8,0,20,", "sorted and without overlap"),
        ("\t3\t5,6,10,\t0,8,20,", "", "expected the 12 columns of BED12, .* got 9"),
    ],
)
def test_blocks_that_are_not_valid_are_an_error_with_their_line(tmp_path, old, new, message):
    (tmp_path / "a.bed").write_text(BED12 + BED12.replace(old, new))
    with pytest.raises(ValueError, match=rf"a.bed, line 2: .*{message}"):
        read_spliced(tmp_path / "a.bed")


@pytest.mark.parametrize("end", ["1_000", "1e3", "9.0", "9\x85", "\u0669", "-9"])
def test_a_place_is_written_in_digits(tmp_path, end):
    path = tmp_path / "a.bed"
    path.write_text(f"chr1\t0\t{end}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.bed, line 1: expected contig, start and end"):
        read_bed(path)
