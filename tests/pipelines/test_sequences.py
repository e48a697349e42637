"""The sequences of a request come in order, whichever format holds them."""

import pytest

from megabase.errors import InputError
from megabase.genome.reference import MemoryReference
from megabase.io.twobit import write_twobit
from megabase.pipelines.sequences import open_sequences

FASTQ = "@r/1\nACGT\n+\nIIII\n@r/2\nGG\n+\nII\n@r/1\nTTA\n+\nIII\n@none\n\n+\n\n"


def letters_of(sequences):
    numbers = range(len(sequences.records))
    return [(sequences.records[number].name, sequences.letters(number)) for number in numbers]


@pytest.mark.parametrize("name", ["reads.fastq", "reads.fa", "reads"])
def test_every_record_counts_and_the_empty_ones_are_counted(tmp_path, name, caplog):
    (tmp_path / name).write_text(FASTQ)
    sequences = open_sequences(str(tmp_path / name), None)
    assert letters_of(sequences) == [("r/1", "ACGT"), ("r/2", "GG"), ("r/1", "TTA")]
    assert "1 of 4 sequences of" in caplog.text
    assert "have no letters and are left out" in caplog.text


def test_2bit_and_bed_are_known_by_their_content_too(tmp_path):
    write_twobit(MemoryReference({"a": "ACGTN", "b": "gg"}), tmp_path / "g")
    assert letters_of(open_sequences(str(tmp_path / "g"), None)) == [("a", "ACGTN"), ("b", "gg")]
    (tmp_path / "places").write_text("a\t0\t2\tx\t0\t-\n")
    placed = open_sequences(str(tmp_path / "places"), str(tmp_path / "g"))
    assert letters_of(placed) == [("x", "GT")]
    with pytest.raises(InputError, match="need their genome; give it by --genome"):
        open_sequences(str(tmp_path / "places"), None)
    with pytest.raises(InputError, match="--genome goes with a BED file"):
        open_sequences(str(tmp_path / "g"), str(tmp_path / "g"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\n>b\n", "has no letters"),
        ("", "is empty"),
        ("chr1\tsource\texon\t1\t9\t.\t+\t.\tx\n", "is neither FASTA nor FASTQ"),
        ("##fileformat=VCFv4.2\n", "is VCF; expected FASTA or FASTQ"),
    ],
)
def test_what_holds_no_sequences_is_an_error(tmp_path, text, message):
    (tmp_path / "in.fa").write_text(text)
    with pytest.raises(InputError, match=message):
        open_sequences(str(tmp_path / "in.fa"), None)


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        open_sequences(str(tmp_path / "none.fa"), None)
    with pytest.raises(InputError, match="is a folder; give a file"):
        open_sequences(str(tmp_path), None)
