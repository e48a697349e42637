"""An automaton finds what a search for the letters finds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.constraint import Motifs
from megabase.genome.vocabulary import BASES_OF, DNA

MOTIF = st.text("ACGTNRYSWKMBDHV", min_size=1, max_size=5)


def search(motifs, letters):
    """Give the places where a motif or its reverse complement ends, by regular expressions."""
    both = {*motifs, *map(DNA.reverse_complement, motifs)}
    forms = ["".join(f"[{BASES_OF[letter]}]" for letter in motif) for motif in both]
    return {m.end(1) - 1 for form in forms for m in re.finditer(f"(?=({form}))", letters)}


def numbers(letters):
    return ["ACGTN".index(letter) for letter in letters]


@given(st.lists(MOTIF, max_size=4), st.text("ACGTN", max_size=30))
def test_every_motif_is_found_where_it_ends(motifs, letters):
    automaton, state, found = Motifs(motifs), 0, set()
    for place, base in enumerate(numbers(letters)):
        assert state == automaton.state_after(numbers(letters)[:place])
        if base == 4:
            state = 0
            continue
        if automaton.completes[state, base]:
            found.add(place)
        state = int(automaton.next_state[state, base])
    expected = search(motifs, letters)
    assert found == expected
    assert automaton.first_end(numbers(letters)) == min(expected, default=None)


def test_a_motif_has_as_many_states_as_beginnings():
    assert len(Motifs(["GAATTC"]).next_state) == 6
    assert len(Motifs(["gaattc", "GAATTC"]).next_state) == 6
    assert len(Motifs([]).next_state) == 1


@pytest.mark.parametrize(("motif", "message"), [
    ("", "a motif consists of A C G T N R"), ("GAUTC", "got 'GAUTC'"), ("GA TC", "got 'GA TC'"),
    ("A" + "N" * 20 + "C", "more than 16,384 states"),
])  # fmt: skip
def test_an_invalid_motif_is_an_error(motif, message):
    with pytest.raises(ValueError, match=message):
        Motifs([motif])
