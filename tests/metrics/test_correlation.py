"""Correlations are scipy's, of repeated pairs too; groups widen their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from megabase.metrics.bootstrap import correlate, pearson, spearman

PAIRS = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=40)


def arrays(pairs):
    return np.array(pairs, dtype=float).T


@given(PAIRS, st.randoms())
def test_they_are_those_of_scipy_where_pairs_count_several_times(pairs, random):
    counts = np.array([float(random.randint(0, 3)) for _ in pairs])
    x, y = arrays(pairs)
    repeated = (np.repeat(values, counts.astype(int)) for values in (x, y))
    u, v = repeated
    if len(set(u)) < 2 or len(set(v)) < 2:
        return
    assert pearson(x, y, counts) == pytest.approx(stats.pearsonr(u, v).statistic, abs=1e-12)
    assert spearman(x, y, counts) == pytest.approx(stats.spearmanr(u, v).statistic, abs=1e-12)


def test_equals_share_their_rank():
    x, y = np.array([1.0, 1.0, 2.0, 3.0]), np.array([4.0, 4.0, 7.0, 100.0])
    assert spearman(x, y) == pytest.approx(1.0)
    assert pearson(x, y) < 0.9


def test_what_does_not_vary_has_no_correlation():
    assert np.isnan(pearson(np.ones(4), np.arange(4.0)))
    assert np.isnan(spearman(np.arange(4.0), np.ones(4)))
    assert np.isnan(pearson(np.full(3, 0.1), np.arange(3.0)))  # whose mean is not 0.1
    assert np.isnan(pearson(np.arange(3.0), np.array([0.1, 0.1, 5.0]), np.array([1.0, 2.0, 0.0])))


def test_without_pairs_the_correlation_is_undefined():
    found = correlate(np.empty(0), np.empty(0), np.empty(0, dtype=int), seed=0)
    for each in found.values():
        assert np.isnan(each.value)
        assert each.interval is None


def test_the_interval_holds_the_value_and_is_wider_where_pairs_go_together():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(20, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    x, y = np.repeat(base, 5, axis=0).T
    alone = correlate(x, y, np.arange(100), seed=0)
    together = correlate(x, y, np.repeat(np.arange(20), 5), seed=0)
    for kind, found in together.items():
        low, high = found.interval  # pyright: ignore[reportGeneralTypeIssues]
        assert low < found.value < high
        assert alone[kind].value == found.value
        narrow = alone[kind].interval
        assert high - low > 1.5 * (narrow.high - narrow.low)


def test_fewer_than_ten_groups_have_no_interval():
    found = correlate(np.arange(30.0), np.arange(30.0), np.arange(30) % 9, seed=0)
    assert found["pearson"].interval is None
    assert found["pearson"].value == pytest.approx(1.0)
