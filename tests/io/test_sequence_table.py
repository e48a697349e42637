"""A table of sequences, or of intervals, is read row by row, and errors name the row."""

import gzip

import pyarrow
import pytest
from pyarrow import parquet

from megabase.errors import InputError
from megabase.genome.reference import MemoryReference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.sequence_table import SequenceTable


def written(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def letters(table):
    return [DNA_VOCABULARY.decode(record.tokens) for record in table.records()]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.tsv.gz"])
def test_sequences_are_read_from_text(tmp_path, name):
    text = "id,sequence,label\na,ACGT,1\nb,ggR,0\n"
    path = written(tmp_path, text if "csv" in name else text.replace(",", "\t"), name)
    table = SequenceTable(path, columns=["label"])
    assert letters(table) == ["ACGT", "GGN"]
    assert [record.row["label"] for record in table.records()] == ["1", "0"]


def test_intervals_are_read_on_their_strand(tmp_path):
    genome = MemoryReference({"chr1": "AACCGGTT"})
    text = "contig,start,end,strand\nchr1,0,4,+\nchr1,0,4,-\nchr1,7,8,.\n"
    table = SequenceTable(written(tmp_path, text), reference=genome)
    assert letters(table) == ["AACC", "GGTT", "T"]


@pytest.mark.parametrize("strands", [[-1, 1], [-1.0, 1.0], ["-1", "+1"]])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_a_strand_may_be_a_number_in_every_kind_of_table(tmp_path, strands, name):
    rows = {"contig": ["chr1"] * 2, "start": [0] * 2, "end": [4] * 2, "strand": strands}
    if name.endswith(".parquet"):
        parquet.write_table(pyarrow.table(rows), tmp_path / name)
    else:
        lines = [rows, *zip(*rows.values(), strict=True)]
        delimiter = "," if name.endswith("csv") else "\t"
        written(tmp_path, "".join(delimiter.join(map(str, line)) + "\n" for line in lines), name)
    genome = MemoryReference({"chr1": "AACCGGTT"})
    assert letters(SequenceTable(tmp_path / name, reference=genome)) == ["GGTT", "AACC"]


@pytest.mark.parametrize("strand", ["- ", "minus", "", "0", "nan"])
def test_a_strand_that_is_not_valid_is_an_error_of_its_row(tmp_path, strand):
    text = f"contig,start,end,strand\nchr1,0,4,+\nchr1,0,4,{strand}\n"
    table = SequenceTable(written(tmp_path, text), reference=MemoryReference({"chr1": "AACCGGTT"}))
    with pytest.raises(InputError, match=r"t.csv, row 2: a strand is \+, -, 1, \+1, -1, or \."):
        letters(table)


def test_a_column_of_strands_by_another_name_is_not_ignored(tmp_path):
    path = written(tmp_path, "contig,start,end,Strand\nchr1,0,4,-\n")
    table = SequenceTable(path, reference=MemoryReference({"chr1": "AACCGGTT"}))
    with pytest.raises(InputError, match="got 'Strand'; rename it"):
        letters(table)


def test_what_is_too_long_is_truncated_on_request(tmp_path, caplog):
    path = written(tmp_path, "sequence\nAACCGGTT\nAC\n")
    assert letters(SequenceTable(path, context_length=4, crop="left")) == ["AACC", "AC"]
    with caplog.at_level("INFO"):
        assert letters(SequenceTable(path, context_length=4, crop="centre")) == ["CCGG", "AC"]
    assert "1 of 2 sequences were cut to 4 bp (--crop centre)" in caplog.text
    drawn = {
        letters(SequenceTable(path, context_length=4, crop="random", seed=seed))[0]
        for seed in range(20)
    }
    assert drawn == {"AACC", "ACCG", "CCGG", "CGGT", "GGTT"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("sequence\n", "has no rows"),
        ("seq\nACGT\n", "no column 'sequence'; it has seq"),
        ("sequence\nACGT\nACXT\n", "'X' at position 2 .* row 2"),
        ("sequence,label\nACGT,1\n,0\n", "row 2: the sequence is empty"),
        ("sequence\nACGTA\n", "row 1 has 5 bp, and the model reads at most 4; use --crop"),
        ("sequence,sequence\nA,A\n", "'sequence' twice"),
        ("sequence,label\nACGT\n", "line 2: expected 2 columns, got 1"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        letters(SequenceTable(written(tmp_path, text), context_length=4))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr2,0,4", "row 1: contig 'chr2' is not in"),
        ("chr1,0,9", "row 1: .* ends beyond its contig"),
        ("chr1,a,9", "row 1: expected whole numbers"),
    ],
)
def test_a_bad_interval_is_refused(tmp_path, row, message):
    path = written(tmp_path, f"contig,start,end\n{row}\n")
    with pytest.raises(InputError, match=message):
        letters(SequenceTable(path, reference=MemoryReference({"chr1": "AACCGGTT"})))


def test_an_invalid_crop_is_an_error(tmp_path):
    with pytest.raises(InputError, match="crop must be one of centre, left, random"):
        SequenceTable(tmp_path / "t.csv", crop="right")


def test_a_million_letters_in_a_field(tmp_path):
    path = written(tmp_path, "sequence\n" + "ACGT" * 50_000 + "\n")
    assert [len(record.tokens) for record in SequenceTable(path).records()] == [200_000]


def test_parquet_is_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"sequence": ["ACGT", "GG"], "label": [1.5, None]})
    parquet.write_table(table, tmp_path / "t.parquet")
    records = list(SequenceTable(tmp_path / "t.parquet", columns=["label"]).records())
    assert [record.row["label"] for record in records] == ["1.5", ""]
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a complete Parquet"):
        list(SequenceTable(tmp_path / "t.parquet").records())


def test_a_bed_file_is_a_table_of_intervals(tmp_path):
    genome = MemoryReference({"chr1": "AACCGGTT"})
    path = written(tmp_path, "# x\nchr1\t0\t3\tgene\t0\t+\nchr1\t1\t4\tother\t0\t-\n", "r.bed")
    table = SequenceTable(path, reference=genome)
    assert letters(table) == ["AAC", "GGT"]
    row = {"contig": "chr1", "start": "1", "end": "4", "name": "other", "strand": "-"}
    assert [record.row for record in table.records()][1] == row
    with pytest.raises(InputError, match="need their genome"):
        letters(SequenceTable(path))
    with pytest.raises(InputError, match="no column 'label'; it has contig, start, end, name"):
        letters(SequenceTable(path, columns=["label"], reference=genome))


def test_the_place_of_a_record_is_that_of_its_letters(tmp_path):
    genome = MemoryReference({"chr1": "AACCGGTTAC"})
    path = written(tmp_path, "contig,start,end,strand\nchr1,0,9,+\nchr1,1,9,-\nchr1,2,4,-\n")
    for crop in ("left", "centre", "random"):
        table = SequenceTable(path, reference=genome, context_length=4, crop=crop)
        for record in table.records():
            assert genome.fetch(record.place) == DNA_VOCABULARY.decode(record.tokens)
    assert next(SequenceTable(written(tmp_path, "sequence\nA\n")).records()).place is None


@pytest.mark.parametrize("name", ["reads.fq.gz", "reads"])
def test_fastq_is_read_too_by_its_name_or_its_content(tmp_path, name, caplog):
    path = written(tmp_path, "@a x\nAC\nGT\n+\n@III\n@a x\nGG\n+\nII\n", name)
    with caplog.at_level("INFO"):
        assert letters(SequenceTable(path)) == ["ACGT", "GG"]
        list(SequenceTable(path).records(tell=False))
    assert caplog.text.count("is FASTQ: its qualities are not used") == 1


def test_fasta_is_read_under_its_names_and_errors_bear_them(tmp_path):
    path = written(tmp_path, ">a first\nAC\nGT\n>b\nGG\n", "s.fa.gz")
    assert [record.row["name"] for record in SequenceTable(path).records()] == ["a first", "b"]
    assert letters(SequenceTable(path)) == ["ACGT", "GG"]
    with pytest.raises(InputError, match=r"s.fa.gz, row 1 \(a first\) has 4 bp"):
        list(SequenceTable(path, context_length=3).records())
    with pytest.raises(InputError, match=r"a genome is only for intervals, .*s.fa.gz contains"):
        list(SequenceTable(path, reference=MemoryReference({"a": "ACGT"})).records())


def test_the_column_of_sequences_may_have_another_name_and_the_columns_another_delimiter(tmp_path):
    path = written(tmp_path, "seq|y\nACGT|1\n")
    table = SequenceTable(path, columns=["y"], sequence_column="seq", delimiter="|")
    assert letters(table) == ["ACGT"]
    assert next(table.records()).row == {"seq": "ACGT", "y": "1"}
    with pytest.raises(InputError, match="has no column 'sequence'; it has seq, y"):
        letters(SequenceTable(path, delimiter="|"))
    fasta = written(tmp_path, ">a\nACGT\n", "s.fa")
    with pytest.raises(InputError, match="--delimiter is only for CSV or TSV"):
        letters(SequenceTable(fasta, delimiter="|"))
    with pytest.raises(InputError, match="has no column 'seq'"):
        letters(SequenceTable(fasta, sequence_column="seq"))
    with pytest.raises(InputError, match="come from the genome; leave out --sequence-column"):
        SequenceTable(path, sequence_column="seq", reference=MemoryReference({"a": "ACGT"}))
