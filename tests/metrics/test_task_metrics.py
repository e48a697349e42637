"""Metrics are those of scikit-learn, undefined ones are NaN, and intervals hold the value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from megabase.metrics.task_metrics import (
    NAMES,
    areas_by_label,
    intervals_of,
    measure_of,
    metrics_of,
)

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def classes(seed, n_classes, n_rows=30):
    """Give labels, of which each class has some, and rounded probabilities with ties."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n_rows)])
    scores = rng.dirichlet(np.ones(n_classes), size=len(labels)).round(1) + 0.001
    return labels, scores / scores.sum(axis=1, keepdims=True)


def same(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


def expected_of_classes(labels, p):
    """Compute by scikit-learn, with NaN where it has 0, a warning or an error."""
    predicted, n_classes = p.argmax(axis=1), p.shape[1]
    ranked = [1] if n_classes == 2 else range(n_classes)
    areas = [
        (sklearn_metrics.roc_auc_score(labels == c, p[:, c]),
         sklearn_metrics.average_precision_score(labels == c, p[:, c]))
        for c in ranked if 0 < np.mean(labels == c) < 1
    ] or [(np.nan, np.nan)]  # fmt: skip
    is_varied = len(set(labels)) > 1
    auroc, auprc = np.mean(areas, axis=0)
    return {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "mcc": sklearn_metrics.matthews_corrcoef(labels, predicted) if is_varied else np.nan,
        "f1_macro": sklearn_metrics.f1_score(labels, predicted, average="macro"),
        "f1_weighted": sklearn_metrics.f1_score(labels, predicted, average="weighted"),
        "auroc": auroc,
        "auprc": auprc,
    }


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_metrics_of_classes_are_those_of_sklearn(seed, n_classes):
    labels, p = classes(seed, n_classes)
    kind = "binary" if n_classes == 2 else "multiclass"
    found = metrics_of(kind, labels, p)
    assert tuple(found) == NAMES[kind]
    assert found == same(expected_of_classes(labels, p))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.integers(2, 4), st.integers(2, 12), st.booleans())
def test_a_row_of_weight_n_counts_as_n_rows_of_sklearn(seed, n_classes, n_rows, is_one_class):
    labels, p = classes(seed, n_classes, n_rows)
    weights = np.random.default_rng(seed).integers(3, size=len(labels))
    weights[labels > 0] *= not is_one_class
    weights[0] += 1
    kind = "binary" if n_classes == 2 else "multiclass"
    found = measure_of(kind, labels, p)(weights.astype(float))
    drawn = np.repeat(np.arange(len(labels)), weights)
    assert found == same(expected_of_classes(labels[drawn], p[drawn]))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_metrics_of_values_are_those_of_sklearn(seed):
    y, p = np.random.default_rng(seed).normal(size=(2, 20, 3)).round(1)
    found = metrics_of("regression", y, p)
    assert found["mse"] == same(sklearn_metrics.mean_squared_error(y, p))
    assert found["r2"] == same(sklearn_metrics.r2_score(y, p))
    first = metrics_of("regression", y[:, 0], p[:, 0])
    assert first["pearson"] == same(stats.pearsonr(y[:, 0], p[:, 0]).statistic)
    assert first["spearman"] == same(stats.spearmanr(y[:, 0], p[:, 0]).statistic)


def test_labels_that_do_not_vary_are_left_out_and_counted():
    labels = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 1]], dtype=bool)
    p = np.array([[0.9, 0.1, 0.5], [0.1, 0.2, 0.5], [0.8, 0.3, 0.5], [0.2, 0.4, 0.5]])
    found = metrics_of("multilabel", labels, p, groups={"one": [0], "none": [2]})
    assert (found["n_labels"], found["n_labels_left_out"]) == (2, 1)
    assert found["auroc_median"] == pytest.approx((1.0 + 0.5) / 2)
    assert found["auroc_median_one"] == 1.0
    assert np.isnan(found["auroc_median_none"])
    assert np.isnan(areas_by_label(labels, p)[:, 2]).all()


def test_undefined_values_are_nan_without_a_warning():
    one_class = metrics_of("binary", np.ones(4, dtype=int), np.full((4, 2), 0.5))
    assert np.isnan([one_class["mcc"], one_class["auroc"], one_class["auprc"]]).all()
    level = metrics_of("regression", np.ones(4), np.arange(4.0))
    assert np.isnan([level["r2"], level["pearson"], level["spearman"]]).all()


def test_a_majority_has_no_correlation_and_ranks_at_chance():
    labels = np.array([0, 0, 0, 1])
    found = metrics_of("binary", labels, np.tile([0.75, 0.25], (4, 1)))
    assert (found["accuracy"], found["mcc"], found["auroc"], found["auprc"]) == (0.75, 0, 0.5, 0.25)


def test_a_class_that_no_row_has_does_not_count_in_the_means():
    labels, p = classes(0, 3)
    with_empty = np.hstack([p, np.zeros((len(p), 1))])
    assert metrics_of("multiclass", labels, with_empty) == metrics_of("multiclass", labels, p)


def test_a_row_twice_is_a_row_of_weight_two_in_the_bootstrap():
    labels, p = classes(1, 2, n_rows=200)
    intervals = intervals_of("binary", labels, p, seed=0, n_replicates=200)
    values = metrics_of("binary", labels, p)
    assert all(low < values[name] < high for name, (low, high) in intervals.items())  # pyright: ignore[reportGeneralTypeIssues]
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(labels), size=len(labels)) for _ in range(200)]
    by_hand = [sklearn_metrics.roc_auc_score(labels[d], p[d, 1]) for d in drawn]
    assert intervals["auroc"] == pytest.approx(np.quantile(by_hand, [0.025, 0.975]), rel=1e-12)


def test_rows_that_go_together_widen_the_interval():
    y, p = np.random.default_rng(0).normal(size=(2, 20)).repeat(10, axis=1)
    alone = intervals_of("regression", y, p, seed=0, n_replicates=200)["pearson"]
    units = np.arange(20).repeat(10)
    together = intervals_of("regression", y, p, seed=0, units=units, n_replicates=200)["pearson"]
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_metric_that_some_draw_does_not_define_has_no_interval():
    labels = np.array([1] + 11 * [0])
    p = np.column_stack([1 - labels, labels]) * 0.8 + 0.1
    intervals = intervals_of("binary", labels, p, seed=0, n_replicates=50)
    assert intervals["auroc"] is None
    assert intervals["accuracy"] == (1.0, 1.0)
    few = intervals_of("binary", labels[:9], p[:9], seed=0)
    assert set(few) == set(intervals)
    assert set(few.values()) == {None}


@pytest.mark.parametrize(
    ("kind", "labels", "predictions", "message"),
    [
        ("binary", np.array([0, 1]), np.ones((2, 3)), r"\(row, 2\); got labels \(2,\)"),
        ("multiclass", np.array([0, 3]), np.ones((2, 3)), "from 0 to 2, got 0 to 3"),
        ("regression", np.array([0.0, 1]), np.array([0.0, np.nan]), "finite"),
        ("binary", np.zeros(0, dtype=int), np.ones((0, 2)), "no rows"),
    ],
)
def test_what_does_not_fit_is_named(kind, labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        metrics_of(kind, labels, predictions)


def test_groups_name_existing_labels():
    labels, p = np.array([[True], [False]]), np.array([[0.5], [0.4]])
    with pytest.raises(ValueError, match="group 'TF' must name some of 1 labels"):
        metrics_of("multilabel", labels, p, groups={"TF": [1]})
    with pytest.raises(ValueError, match="got a binary task"):
        metrics_of("binary", np.array([0, 1]), np.ones((2, 2)), groups={"TF": [0]})
