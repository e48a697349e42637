"""Codes of words are those read by hand, on either strand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from megabase.measure.words import other_strand, reverse_complement, word_codes


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
