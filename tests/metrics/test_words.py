"""Codes of words are those read by hand, on either strand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.metrics import kmers as words
from megabase.metrics.kmers import (
    batches,
    other_strand,
    reverse_complement,
    word_codes,
    words_of_rows,
)


def bases(text):
    return np.array(["ACGTN".index(letter) for letter in text], dtype=np.uint8)


def by_hand(text, length):
    found = [(i + length - 1, text[i : i + length]) for i in range(len(text) - length + 1)]
    whole = [(end, word) for end, word in found if "N" not in word]
    codes = [sum("ACGT".index(c) * 4**i for i, c in enumerate(word[::-1])) for _, word in whole]
    return codes, [end for end, _ in whole]


@given(st.text("ACGTN", max_size=80), st.sampled_from([1, 2, 5, 31]))
def test_every_word_of_known_bases_has_its_code_and_its_end(text, length):
    codes, ends = word_codes(bases(text), length)
    assert (codes.tolist(), ends.tolist()) == by_hand(text, length)


@given(st.text("ACGT", min_size=31, max_size=80), st.sampled_from([1, 4, 31]))
def test_the_other_strand_has_the_words_of_the_reverse_complement(text, length):
    codes, _ = word_codes(bases(text), length)
    of_other, _ = word_codes(reverse_complement(bases(text)), length)
    np.testing.assert_array_equal(other_strand(codes, length), of_other[::-1])


def test_the_reverse_complement_keeps_what_is_unknown():
    np.testing.assert_array_equal(reverse_complement(bases("AACN")), bases("NGTT"))


@given(st.lists(st.text("ACGTN", max_size=9), min_size=1, max_size=4))
def test_words_of_rows_do_not_go_over_their_ends(texts):
    codes, rows = words_of_rows([bases(text) for text in texts], 3)
    expected = [by_hand(text, 3)[0] for text in texts]
    assert codes.tolist() == [code for row in expected for code in row]
    assert rows.tolist() == [row for row, found in enumerate(expected) for _ in found]


@pytest.mark.parametrize(("most_bases", "most_rows"), [(7, 9), (1, 9), (99, 2), (99, 9)])
def test_batches_are_all_rows_in_order_and_none_too_large(monkeypatch, most_bases, most_rows):
    monkeypatch.setattr(words, "_BASES_AT_ONCE", most_bases)
    sequences = [bases("A" * length) for length in (3, 4, 0, 5, 9, 2)]
    found = [range(6)[rows] for rows in batches(sequences, most_rows=most_rows)]
    assert [row for rows in found for row in rows] == list(range(6))
    for rows in found:
        assert 1 <= len(rows) <= most_rows
        assert len(rows) == 1 or sum(len(sequences[row]) for row in rows) <= most_bases
