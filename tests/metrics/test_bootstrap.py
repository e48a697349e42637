"""The bootstrap interval is the one of the textbook: near the normal one for many windows."""

import numpy as np
import pytest

from megabase.metrics.bootstrap import bootstrap, bootstrap_ratio, spread


def test_for_many_equal_windows_it_is_close_to_the_normal_interval():
    totals = np.random.default_rng(0).normal(2.0, 0.5, size=400)
    low, high = bootstrap_ratio(totals, np.ones(400), seed=1)  # pyright: ignore[reportGeneralTypeIssues]
    half = 1.96 * totals.std() / 20
    assert low == pytest.approx(totals.mean() - half, abs=0.01)
    assert high == pytest.approx(totals.mean() + half, abs=0.01)


def test_the_seed_fixes_it_and_a_ratio_that_never_varies_has_no_width():
    totals, sizes = np.arange(1.0, 13), np.ones(12)
    assert bootstrap_ratio(totals, sizes, seed=3) == bootstrap_ratio(totals, sizes, seed=3)
    assert bootstrap_ratio(2 * totals, totals, seed=0) == pytest.approx((2.0, 2.0))


def test_fewer_than_ten_windows_have_no_interval():
    assert bootstrap_ratio(np.arange(1.0, 10), np.ones(9), seed=0) is None
    assert bootstrap_ratio(np.arange(1.0, 11), np.ones(10), seed=0) is not None


def test_any_statistic_has_an_interval():
    values = np.random.default_rng(0).normal(size=200)
    low, high = bootstrap(lambda drawn: float(np.median(values[drawn])), 200, seed=0)  # pyright: ignore[reportGeneralTypeIssues]
    assert low < np.median(values) < high < low + 0.6
    assert bootstrap(lambda drawn: 1.0, 9, seed=0) is None


def test_the_spread_over_seeds_is_that_of_a_sample():
    found = spread([0.5, 0.7, 0.6])
    assert found == pytest.approx((0.6, 0.1, 0.5, 0.7, 3))
    assert spread([0.5]).sd is None
    assert np.isnan(spread([0.5, np.nan])[:4]).all()
