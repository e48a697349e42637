"""A shuffle keeps dinucleotides and both ends, and does shuffle."""

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.shuffle import shuffle_dinucleotides
from tests.toys import letters


@given(st.text("ACGTN", max_size=60), st.integers(0, 3))
def test_dinucleotides_and_ends_are_kept(sequence, seed):
    shuffled = shuffle_dinucleotides(sequence, np.random.default_rng(seed))
    assert Counter(pairwise(shuffled)) == Counter(pairwise(sequence))
    assert shuffled[:1] == sequence[:1]
    assert shuffled[-1:] == sequence[-1:]


def test_a_long_sequence_comes_out_another_one_each_time():
    sequence = letters(500)
    drawn = {shuffle_dinucleotides(sequence, np.random.default_rng(seed)) for seed in range(5)}
    assert len(drawn | {sequence}) == 6


def test_every_sequence_with_these_dinucleotides_is_drawn_about_as_often():
    drawn = Counter(shuffle_dinucleotides("ACAGAT", np.random.default_rng(i)) for i in range(600))
    assert set(drawn) == {"ACAGAT", "AGACAT"}
    assert 240 < drawn["ACAGAT"] < 360
