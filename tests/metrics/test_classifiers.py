"""Probes learn what is there, choose on validation rows only, and say what they miss."""

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.metrics import classifiers as probe_module
from megabase.metrics.classifiers import (
    GRIDS,
    LabelledVectors,
    check_labels,
    check_sklearn,
    fit_probe,
    neighbour_map,
)
from megabase.metrics.task_metrics import metrics_of

pytest.importorskip("sklearn")

METHODS = sorted(GRIDS)
SMALL = {
    "linear": [{"C": 1.0}],
    "neighbours": [{"n_neighbors": 5}],
    "boosting": [{"max_iter": 20}],
}


def vectors(n=120, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32) * 5 + 100


def labels_of(kind, x):
    z = (x - 100) / 5
    return {
        "binary": (z[:, 0] > 0).astype(np.int64),
        "multiclass": np.digitize(z[:, 0], [-0.5, 0.5]),
        "multilabel": np.stack([z[:, 0] > 0, z[:, 1] > 0, z[:, 1] > -99], axis=1),
        "regression": z[:, :2].astype(np.float64),
    }[kind]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("kind", "metric", "least"),
    [("binary", "auroc", 0.9), ("multiclass", "auroc", 0.85),
     ("multilabel", "auroc_median", 0.85), ("regression", "pearson", 0.8)],
)  # fmt: skip
def test_each_method_learns_each_kind(method, kind, metric, least):
    parts = [
        LabelledVectors(x, labels_of(kind, x)) for x in (vectors(), vectors(60, 1), vectors(200, 2))
    ]
    train, validation, test = parts
    probe = fit_probe(
        method, kind, train, validation, n_classes=3 - (kind == "binary"), seed=0,
        grid=SMALL[method],
    )  # fmt: skip
    assert metrics_of(kind, test.labels, probe.predict(test.vectors))[metric] > least


def test_the_setting_is_the_best_on_validation_rows():
    x, y = vectors(), labels_of("binary", vectors())
    wrong = LabelledVectors(x, 1 - y)
    right = fit_probe(
        "neighbours", "binary", LabelledVectors(x, y), LabelledVectors(x, y), n_classes=2, seed=0
    )
    assert right.setting == {"n_neighbors": 1}
    assert right.validation_score == 1.0
    turned = fit_probe("neighbours", "binary", LabelledVectors(x, y), wrong, n_classes=2, seed=0)
    assert turned.setting != {"n_neighbors": 1}


def test_the_scale_of_a_channel_does_not_matter():
    x, y = vectors(), labels_of("binary", vectors())
    scaled = x * np.array([1e-3, 1e3, 1, 1], dtype=np.float32)
    held, held_scaled = vectors(50, 1), vectors(50, 1) * np.array([1e-3, 1e3, 1, 1], np.float32)
    p, q = (
        fit_probe(
            "linear", "binary", LabelledVectors(a, y), LabelledVectors(a, y), n_classes=2, seed=0
        ).predict(b)
        for a, b in ((x, held), (scaled, held_scaled))
    )
    np.testing.assert_allclose(p, q, atol=1e-3)


def test_a_fit_that_stops_early_is_flagged(monkeypatch):
    x, y = vectors(), labels_of("binary", vectors())
    rows = LabelledVectors(x, y)
    assert fit_probe("linear", "binary", rows, rows, n_classes=2, seed=0).is_converged
    monkeypatch.setattr(probe_module, "_MOST_ITERATIONS", 1)
    assert not fit_probe("linear", "binary", rows, rows, n_classes=2, seed=0).is_converged


def test_a_class_that_training_rows_lack_has_probability_zero():
    x, y = vectors(), 2 * labels_of("binary", vectors())
    probe = fit_probe(
        "linear", "multiclass", LabelledVectors(x, y), LabelledVectors(x, y), n_classes=3, seed=0
    )
    p = probe.predict(x)
    assert p.shape == (120, 3)
    assert set(p[:, 1]) == {0.0}


def test_more_neighbours_than_rows_are_not_tried():
    x, y = vectors(8), np.arange(8) % 2
    probe = fit_probe(
        "neighbours", "binary", LabelledVectors(x, y), LabelledVectors(x, y), n_classes=2, seed=0
    )
    assert probe.setting["n_neighbors"] <= 8


def test_rows_of_one_class_are_an_error():
    x, y = vectors(), labels_of("binary", vectors())
    ones = LabelledVectors(x, np.ones_like(y))
    with pytest.raises(ValueError, match="training rows are of one class"):
        fit_probe("linear", "binary", ones, LabelledVectors(x, y), n_classes=2, seed=0)
    with pytest.raises(ValueError, match="mcc of the validation rows"):
        fit_probe("linear", "binary", LabelledVectors(x, y), ones, n_classes=2, seed=0)
    with pytest.raises(ValueError, match="grid has no setting"):
        fit_probe(
            "linear",
            "binary",
            LabelledVectors(x, y),
            LabelledVectors(x, y),
            n_classes=2,
            seed=0,
            grid=[],
        )


def test_a_map_keeps_neighbours_together_and_is_that_of_its_seed():
    group = np.arange(60) % 2
    x = vectors(60) + 100 * group[:, None]
    points = neighbour_map(x, seed=0)
    assert points.shape == (60, 2)
    distances = np.linalg.norm(points[:, None] - points, axis=2) + 1e9 * np.eye(60)
    assert (group[distances.argmin(axis=1)] == group).all()
    np.testing.assert_array_equal(neighbour_map(x, seed=0), points)
    with pytest.raises(ValueError, match="at least two rows, got 1"):
        neighbour_map(x[:1], seed=0)


def test_without_sklearn_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(probe_module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'megabase\[sklearn\]'"):
        check_sklearn()


def test_equal_labels_of_several_targets_are_an_error():
    rows = np.arange(6.0)
    for kind, fine, equal in (
        ("regression", np.stack([rows, rows], axis=1), np.stack([rows, rows * 0], axis=1)),
        ("multilabel", np.stack([rows > 2, rows > 9], axis=1) + 0, np.zeros((6, 2), dtype=int)),
    ):
        check_labels(kind, fine, fine)
        with pytest.raises(InputError, match="these 6 have equal labels"):
            check_labels(kind, fine, equal)
