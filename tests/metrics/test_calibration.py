"""Calibration is that of the formula, and of probabilities that are true it is near 0."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.metrics.calibration import brier_score, reliability


def stated(p):
    return np.column_stack([1 - np.asarray(p), p])


def test_the_error_is_the_gap_of_each_bin_by_its_rows():
    """Check Eq. calibration-error by hand."""
    p, labels = [0.1, 0.3, 0.9, 1.0], np.array([0, 1, 1, 1])
    found = reliability("binary", labels, stated(p), n_bins=2)
    assert found.counts.tolist() == [2, 2]
    np.testing.assert_allclose(found.means, [0.2, 0.95])
    np.testing.assert_allclose(found.shares, [0.5, 1.0])
    assert found.calibration_error == pytest.approx(0.5 * 0.3 + 0.5 * 0.05)


def test_a_bin_without_rows_is_nan_and_costs_nothing():
    found = reliability("binary", np.array([1, 1]), stated([1.0, 1.0]), n_bins=4)
    assert np.isnan(found.means[:3]).all()
    assert found.calibration_error == 0.0


def test_of_classes_it_is_the_most_probable_and_of_labels_each():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    found = reliability("multiclass", np.array([0, 1]), p, n_bins=1)
    assert (found.means[0], found.shares[0]) == (pytest.approx(0.65), 0.5)
    truths = np.array([[True, False, False], [False, False, True]])
    assert reliability("multilabel", truths, p, n_bins=1).counts.tolist() == [6]
    assert brier_score("multilabel", truths, p) == pytest.approx(np.mean((p - truths) ** 2))


def test_true_probabilities_are_calibrated_and_bold_ones_are_not():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    labels = (rng.random(20_000) < p).astype(np.int64)
    bold = p**3 / (p**3 + (1 - p) ** 3)
    assert reliability("binary", labels, stated(p)).calibration_error < 0.02
    assert reliability("binary", labels, stated(bold)).calibration_error > 0.1
    assert brier_score("binary", labels, stated(p)) < brier_score("binary", labels, stated(bold))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_the_brier_score_is_that_of_sklearn(seed, n_classes):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=20)])
    p = rng.dirichlet(np.ones(n_classes), size=len(labels))
    if n_classes == 2:
        assert brier_score("binary", labels, p) == pytest.approx(
            metrics.brier_score_loss(labels, p[:, 1]), rel=1e-12
        )
    truth = np.eye(n_classes)[labels]
    assert brier_score("multiclass", labels, p) == pytest.approx(
        sum(metrics.mean_squared_error(truth[:, c], p[:, c]) for c in range(n_classes)), rel=1e-12
    )


def test_what_has_no_probabilities_is_an_error():
    with pytest.raises(ValueError, match="a regression has no probabilities"):
        reliability("regression", np.array([1.0]), np.array([1.0]))
    with pytest.raises(ValueError, match="got -1 to -1 and 15 bins"):
        reliability("binary", np.array([1]), np.array([[2.0, -1.0]]))
