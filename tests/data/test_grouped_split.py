"""No sequence, nor its reverse complement, stands on both sides of a split."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from megabase.data.splits import (
    grouped_split,
    joined_groups,
    strand_key,
    strata_of_labels,
    strata_of_values,
)
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from tests import toys


def tokens(letters):
    return DNA_VOCABULARY.encode(letters).tokens


@given(
    groups=st.lists(st.integers(0, 12), min_size=2, max_size=60),
    seed=st.integers(0, 99),
    fraction=st.floats(0.05, 0.5),
)
def test_every_row_is_on_one_side_and_no_group_on_both(groups, seed, fraction):
    strata = [group % 2 for group in groups]
    assume(any(len({g for g in set(groups) if g % 2 == s}) > 1 for s in (0, 1)))
    training, validation = grouped_split(groups, strata, fraction=fraction, seed=seed)
    assert sorted([*training, *validation]) == list(range(len(groups)))
    assert not {groups[row] for row in training} & {groups[row] for row in validation}
    for stratum in (0, 1):
        of_it = [group for group in groups if group % 2 == stratum]
        taken = [groups[row] for row in validation if groups[row] % 2 == stratum]
        smallest = min(map(of_it.count, of_it), default=0)
        assert len(taken) <= max(1, round(fraction * len(of_it)), smallest)
        assert bool(taken) == (len(set(of_it)) > 1)


def test_a_sequence_and_its_reverse_complement_have_one_key():
    one = toys.letters(20)
    keys = {strand_key(tokens(text)) for text in (one, DNA.reverse_complement(one))}
    assert len(keys) == 1
    assert strand_key(tokens(toys.letters(20, seed=1))) not in keys


def test_each_class_gives_its_share():
    strata = [0] * 100 + [1] * 20
    training, validation = grouped_split(range(120), strata, fraction=0.1, seed=3)
    assert np.bincount(np.array(strata)[validation]).tolist() == [10, 2]
    again, _ = grouped_split(range(120), strata, fraction=0.1, seed=3)
    other, _ = grouped_split(range(120), strata, fraction=0.1, seed=4)
    assert again.tolist() == training.tolist() != other.tolist()


def test_one_group_cannot_be_split():
    with pytest.raises(InputError, match="8 rows of 1 different sequences are too few"):
        grouped_split(["a"] * 8, [0] * 8, fraction=0.1, seed=0)


def test_values_are_stratified_by_size():
    strata = strata_of_values([float(value) for value in range(100)])
    assert np.bincount(strata).tolist() == [10] * 10


def test_rows_of_one_sequence_or_of_places_that_overlap_are_one_group():
    places = [
        Interval("I", 0, 9),
        Interval("I", 20, 30),
        Interval("I", 8, 12),
        Interval("II", 0, 9),
    ]
    groups = joined_groups(["a", "b", "c", "d"], places)
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3
    assert len(set(joined_groups(["a", "b", "c", "b"], places))) == 2
    assert len(set(joined_groups(["a", "c", "c", "a"], places))) == 1


def test_a_rare_label_is_on_both_sides_of_a_split():
    truths = np.zeros((40, 2), dtype=np.uint8)
    truths[:, 0], truths[[3, 30], 1] = 1, 1
    strata = strata_of_labels(truths)
    for seed in range(20):
        _, validation = grouped_split(range(40), strata, fraction=0.1, seed=seed)
        assert truths[validation, 1].sum() == 1
