"""The complement of DNA is the one of the nomenclature, and turning twice turns back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.vocabulary import DNA, Alphabet


@given(st.text(DNA.letters + DNA.letters.lower()))
def test_the_reverse_complement_of_the_reverse_complement_is_the_sequence(letters):
    assert DNA.reverse_complement(DNA.reverse_complement(letters)) == letters


def test_ambiguity_codes_complement_to_the_complements_of_their_bases():
    bases = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}
    bases |= {"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"}
    for code, meaning in bases.items():
        complement = "".join(sorted(DNA.reverse_complement(meaning)))
        assert bases[DNA.reverse_complement(code)] == complement


def test_a_letter_without_complement_is_an_error():
    with pytest.raises(ValueError, match="needs its complement"):
        Alphabet(name="X", bases="ACGT", unknown="N", ambiguous="R", complements="TGCAN")


def test_an_alphabet_cannot_be_changed():
    with pytest.raises(AttributeError):
        DNA.bases = "ACGU"
