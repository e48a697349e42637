"""Each beginning of the order is a stratified subset, within every longer one."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from megabase.data.splits import nested_order


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 5))
def test_each_stratum_has_its_share_of_every_beginning(strata, seed):
    order = nested_order(strata, seed=seed)
    assert sorted(order.tolist()) == list(range(len(strata)))
    sizes = Counter(strata)
    for n in range(len(strata) + 1):
        counts = Counter(strata[row] for row in order[:n])
        for stratum, size in sizes.items():
            assert abs(counts[stratum] - n * size / len(strata)) <= len(sizes) / 2 + 1e-9


def test_the_order_within_a_stratum_is_drawn_by_the_seed():
    first, again, other = (nested_order([0] * 50, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != other.tolist()
