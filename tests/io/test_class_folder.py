"""A folder with a FASTA file for each class is read as a table, class by class."""

import gzip

import pytest

from megabase.errors import InputError
from megabase.io.sequence_table import class_files, read_class_folder, read_sequence_rows


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "promoter.v2.fasta").write_text(">p1\nAC\nGT\n>p2\nGG\n")
    (tmp_path / "other.fa.gz").write_bytes(gzip.compress(b">o x\nTT\n"))
    (tmp_path / "other.fa.gz.fai").write_text("")
    return tmp_path


def test_the_stem_of_a_file_is_the_class_of_its_sequences(folder):
    assert list(read_class_folder(folder)) == [
        {"name": "o x", "sequence": "TT", "label": "other"},
        {"name": "p1", "sequence": "ACGT", "label": "promoter.v2"},
        {"name": "p2", "sequence": "GG", "label": "promoter.v2"},
    ]


def test_the_suffix_of_a_class_may_be_in_capitals(tmp_path):
    (tmp_path / "none.FA.GZ").write_bytes(gzip.compress(b">a\nAC\n"))
    (tmp_path / ".none.fa").write_text(">hidden\nAC\n")
    assert list(read_class_folder(tmp_path)) == [{"name": "a", "sequence": "AC", "label": "none"}]
    (tmp_path / "none.FA").write_text(">b\nGG\n")
    with pytest.raises(InputError, match="two files of the class 'none'"):
        class_files(tmp_path)


def test_a_class_may_be_fastq_or_compressed_as_bgz(tmp_path):
    (tmp_path / "Reads.fq").write_text("@r\nAC\n+\nII\n@r\nGG\n+\nII\n")
    (tmp_path / "other.fasta.bgz").write_bytes(gzip.compress(b">o\nT T\n"))
    assert list(read_class_folder(tmp_path)) == [
        {"name": "r", "sequence": "AC", "label": "Reads"},
        {"name": "r", "sequence": "GG", "label": "Reads"},
        {"name": "o", "sequence": "TT", "label": "other"},
    ]


def test_what_is_skipped_is_logged_once(folder, caplog):
    (folder / "README.md").write_text("")
    with caplog.at_level("INFO"):
        assert list(class_files(folder)) == ["other", "promoter.v2"]
        assert len(list(read_class_folder(folder))) == 3
    assert caplog.text.count("skipped README.md") == 1


def test_an_invalid_folder_of_classes_is_an_error(folder, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no FASTA file"):
        class_files(tmp_path / "none")
    (folder / "other.fna").write_text(">a\nA\n")
    with pytest.raises(InputError, match="two files of the class 'other'"):
        class_files(folder)
    (folder / "empty.fa").write_text("")
    with pytest.raises(InputError, match=r"empty.fa is empty"):
        list(read_sequence_rows(folder / "empty.fa"))
    with pytest.raises(
        InputError, match=r"other.fna is FASTA or FASTQ, which has no column 'label'"
    ):
        list(read_sequence_rows(folder / "other.fna", ["sequence", "label"]))


def test_a_folder_has_no_other_columns(folder):
    with pytest.raises(
        InputError, match=r"other.fa.gz is FASTA or FASTQ, which has no column 'CTCF'"
    ):
        list(read_class_folder(folder, ["sequence", "label", "CTCF"]))
