"""A token store holds the letters of its genome, and is rebuilt when the genome changes."""

import os

import numpy as np
import pytest

from megabase.data import token_store
from megabase.data.token_store import open_token_store
from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.twobit import write_twobit
from tests.toys import letters, write_fasta

CONTIGS = {"chrI": letters(500), "chrII": "acgtnRYN"}


@pytest.fixture
def fasta(tmp_path):
    return write_fasta(tmp_path / "genome.fa", CONTIGS)


def test_tokens_are_those_of_the_letters(fasta, tmp_path):
    store = open_token_store(fasta, cache=tmp_path)
    assert store.lengths == {"chrI": 500, "chrII": 8}
    assert store.contigs() == [Interval("chrI", 0, 500), Interval("chrII", 0, 8)]
    assert DNA_VOCABULARY.decode(store.fetch(Interval("chrI", 3, 90))) == CONTIGS["chrI"][3:90]
    assert DNA_VOCABULARY.decode(store.fetch(Interval("chrII", 0, 8))) == "ACGTNNNN"
    assert DNA_VOCABULARY.decode(store.fetch(Interval("chrII", 0, 3, "-"))) == "CGT"


def test_pieces_make_no_difference(fasta, tmp_path, monkeypatch):
    whole = open_token_store(fasta, cache=tmp_path / "whole")
    monkeypatch.setattr(token_store, "_PIECE_BP", 37)
    cut = open_token_store(fasta, cache=tmp_path / "cut")
    np.testing.assert_array_equal(
        cut.fetch(Interval("chrI", 0, 500)), whole.fetch(Interval("chrI", 0, 500))
    )
    assert cut.sha256 == whole.sha256


def test_the_hash_is_of_the_letters_and_not_of_the_packing(fasta, tmp_path):
    write_twobit(
        MemoryReference({"chrI": CONTIGS["chrI"], "chrII": "ACGTNNNN"}), tmp_path / "g.2bit"
    )
    packed = open_token_store(tmp_path / "g.2bit", cache=tmp_path)
    assert packed.sha256 == open_token_store(fasta, cache=tmp_path).sha256
    other = write_fasta(tmp_path / "other.fa", {"chrI": CONTIGS["chrI"], "chr2": "ACGTNNNN"})
    assert open_token_store(other, cache=tmp_path).sha256 != packed.sha256


def test_a_changed_file_makes_a_new_store_and_removes_the_old(fasta, tmp_path):
    open_token_store(fasta, cache=tmp_path)
    write_fasta(fasta, {"chrI": "GGGG"})
    later = fasta.stat().st_mtime + 10
    os.utime(fasta, (later, later))
    assert open_token_store(fasta, cache=tmp_path).lengths == {"chrI": 4}
    assert len(list((tmp_path / "tokens").iterdir())) == 1


def test_an_unchanged_file_is_read_once(fasta, tmp_path, monkeypatch):
    open_token_store(fasta, cache=tmp_path)
    monkeypatch.setattr(token_store, "open_reference", None)
    assert open_token_store(fasta, cache=tmp_path).lengths["chrI"] == 500


def test_a_file_replaced_with_the_same_size_and_times_is_read_again(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "ACGT" * 20})
    stat = fasta.stat()
    before = open_token_store(fasta, cache=tmp_path).fetch(Interval("chrI", 0, 4))
    write_fasta(fasta, {"chrI": "TTTT" * 20})
    os.utime(fasta, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fasta.stat().st_size == stat.st_size
    after = open_token_store(fasta, cache=tmp_path).fetch(Interval("chrI", 0, 4))
    assert before.tolist() == [7, 8, 9, 10]
    assert after.tolist() == [10, 10, 10, 10]


def test_an_invalid_letter_is_an_error_with_its_position_and_leaves_nothing(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "ACGT" * 20 + "E"})
    with pytest.raises(ValueError, match=r"'E' at position 80 .* of chrI"):
        open_token_store(fasta, cache=tmp_path)
    assert not list((tmp_path / "tokens").iterdir())


def test_a_genome_without_bases_is_an_error(tmp_path):
    (tmp_path / "genome.fa").write_text(">chrI\n>chrII\n")
    with pytest.raises(ValueError, match="has no sequence with letters"):
        open_token_store(tmp_path / "genome.fa", cache=tmp_path)
    write_twobit(MemoryReference({"chrI": ""}), tmp_path / "genome.2bit")
    with pytest.raises(ValueError, match="holds no base"):
        open_token_store(tmp_path / "genome.2bit", cache=tmp_path)


def test_an_interval_outside_the_genome_is_an_error(fasta, tmp_path):
    store = open_token_store(fasta, cache=tmp_path)
    with pytest.raises(ValueError, match="did you mean 'chrI'"):
        store.fetch(Interval("chri", 0, 5))
    with pytest.raises(ValueError, match="ends beyond"):
        store.fetch(Interval("chrII", 5, 9))


def test_the_case_is_kept_with_the_letters(tmp_path):
    fasta = write_fasta(tmp_path / "g.fa", {"chrI": "ACgtnA"})
    store = open_token_store(fasta, cache=tmp_path)
    upper = open_token_store(write_fasta(tmp_path / "u.fa", {"chrI": "ACGTNA"}), cache=tmp_path)
    masked = [False, False, True, True, True, False]
    assert store.read(Interval("chrI", 0, 6)).soft_masked().tolist() == masked
    assert store.read(Interval("chrI", 1, 6, "-")).soft_masked().tolist() == masked[1:][::-1]
    assert (store.fetch(Interval("chrI", 0, 6)) == upper.fetch(Interval("chrI", 0, 6))).all()
    assert store.sha256 == upper.sha256
    assert store.case_sha256 != upper.case_sha256


@pytest.mark.parametrize("length", [1, 3, 7, 8, 20])
@pytest.mark.parametrize("at_once", [1, 5, 1 << 24])
def test_n_are_counted_window_by_window(tmp_path, monkeypatch, length, at_once):
    text = "NNACGTnNACGNTRYNNNNA"
    store = open_token_store(write_fasta(tmp_path / "g.fa", {"chrI": text}), cache=tmp_path)
    monkeypatch.setattr(token_store, "_PIECE_BP", at_once)
    for start in (0, 4):
        region = Interval("chrI", start, len(text))
        counts = [
            sum(letter not in "ACGTacgt" for letter in text[window.start : window.end])
            for window in region.windows(length)
        ]
        assert store.read(region).n_unknown(length).tolist() == counts


def test_a_window_is_a_view_of_the_file_and_not_a_copy(fasta, tmp_path):
    store = open_token_store(fasta, cache=tmp_path)
    one, other = store.read(Interval("chrI", 3, 90)), store.read(Interval("chrI", 80, 200, "-"))
    assert np.shares_memory(one.bases, other.bases)
    assert not one.bases.flags.writeable
    one.tokens()[:] = 0
    assert DNA_VOCABULARY.decode(one.tokens()) == CONTIGS["chrI"][3:90]


def test_a_process_that_was_slower_uses_what_the_other_made(fasta, tmp_path, monkeypatch):
    write = token_store._write_tokens

    def slower(reference, path):
        monkeypatch.setattr(token_store, "_write_tokens", write)
        open_token_store(fasta, cache=tmp_path)  # the other process, in the meantime
        return write(reference, path)

    monkeypatch.setattr(token_store, "_write_tokens", slower)
    assert open_token_store(fasta, cache=tmp_path).lengths == {"chrI": 500, "chrII": 8}
    assert not list((tmp_path / "tokens").glob("*.part"))
