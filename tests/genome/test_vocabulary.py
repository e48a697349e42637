"""Letters get the published ids and back, at the speed of a table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.vocabulary import DNA
from megabase.genome.vocabulary import DNA_VOCABULARY as V


def test_ids_are_the_published_ones():
    published = "[CLS] [SEP] [BOS] [MASK] [PAD] [RESERVED] [UNK] A C G T N".split()
    assert [V.id_of(token) for token in published] == list(range(12))


@given(st.text("ACGTN"))
def test_decoding_undoes_encoding(letters):
    assert V.decode(V.encode(letters).tokens) == letters


@given(st.text(DNA.letters + DNA.letters.lower()))
def test_lower_case_is_upper_case_and_ambiguity_is_n_and_counted(letters):
    encoded = V.encode(letters)
    plain = "".join(c if c in "ACGTN" else "N" for c in letters.upper())
    assert V.decode(encoded.tokens) == plain
    assert encoded.n_ambiguous == sum(c in DNA.ambiguous for c in letters.upper())


@given(st.text(DNA.letters))
def test_the_strand_may_be_turned_before_or_after_encoding(letters):
    turned = V.encode(DNA.reverse_complement(letters)).tokens
    np.testing.assert_array_equal(V.reverse_complement(V.encode(letters).tokens), turned)


@pytest.mark.parametrize(("letters", "letter"), [("ACGE", "E"), ("ACG ", " "), ("ACG\u00e9", "é")])
def test_another_letter_is_an_error_with_its_place(letters, letter):
    with pytest.raises(ValueError, match=rf"'{letter}' at position 103 .* of chrI"):
        V.encode(letters, name="chrI", start=100)


def test_rna_is_not_read_as_dna():
    with pytest.raises(ValueError, match="'U' at position 1"):
        V.encode("AUG")


def test_a_special_token_does_not_decode():
    with pytest.raises(ValueError, match="got token 4"):
        V.decode(np.array([7, 4], dtype=np.uint8))


def test_bases_are_numbered_from_zero_and_the_rest_is_four():
    tokens = V.encode("ACGTN").tokens
    assert V.to_bases(tokens).tolist() == [0, 1, 2, 3, 4]
    assert V.to_bases(np.array([4], dtype=np.uint8)).tolist() == [4]
