"""A variant replaces its reference allele and nothing else."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from megabase.genome.interval import Interval
from megabase.genome.variant import Variant

WINDOW = Interval("chrI", 100, 110)
LETTERS = "ACGTACGTAC"


@pytest.mark.parametrize(
    ("position", "ref", "alt", "expected"),
    [
        (100, "A", "T", "TCGTACGTAC"),
        (103, "TA", "GG", "ACGGGCGTAC"),
        (108, "AC", "A", "ACGTACGTA"),
        (104, "A", "ATT", "ACGTATTCGTAC"),
    ],
)
def test_apply_puts_alt_in_the_place_of_ref(position, ref, alt, expected):
    assert Variant("chrI", position, ref, alt).apply(LETTERS, WINDOW) == expected


def test_apply_checks_the_reference_allele_in_either_case():
    assert Variant("chrI", 100, "A", "T").apply(LETTERS.lower(), WINDOW).startswith("Tcg")
    with pytest.raises(ValueError, match="expects 'G', but the reference has 'A'"):
        Variant("chrI", 100, "G", "T").apply(LETTERS, WINDOW)


@pytest.mark.parametrize(("contig", "position"), [("chrII", 100), ("chrI", 99), ("chrI", 109)])
def test_a_variant_outside_the_window_is_an_error(contig, position):
    with pytest.raises(ValueError, match="does not lie within"):
        Variant(contig, position, "AC", "T").apply(LETTERS, WINDOW)


@given(st.text("ACGT", max_size=6), st.text("ACGT", max_size=6))
def test_trimming_changes_nothing_but_the_spelling(ref, alt):
    assume(ref != alt)
    before, after = "GG", "CC"
    window = Interval("chrI", 0, len(before + ref + after))
    variant = Variant("chrI", 2, ref, alt)
    trimmed = variant.trimmed()
    assert trimmed.apply(before + ref + after, window) == before + alt + after
    assert not (trimmed.ref and trimmed.alt and trimmed.ref[0] == trimmed.alt[0])
    assert not (trimmed.ref and trimmed.alt and trimmed.ref[-1] == trimmed.alt[-1])


def test_two_equal_alleles_are_no_variant():
    with pytest.raises(ValueError, match="two different alleles"):
        Variant("chrI", 5, "A", "A")
