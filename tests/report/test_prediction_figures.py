"""Figures of predictions show the numbers they were given."""

import numpy as np
import pytest

from megabase.report import prediction_figures as predictions
from megabase.report.figures import new_figure
from megabase.report.prediction_figures import draw_classifier, draw_labels, draw_values

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figures that are drawn."""
    kept = []

    def keep(*arguments, **options):
        kept.append(new_figure(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(predictions, "new_figure", keep)
    return kept


def test_a_classifier_is_drawn_with_curves_counts_and_reliability(drawn, tmp_path):
    labels = np.array([0, 0, 1, 1])
    p = np.array([0.1, 0.6, 0.4, 0.9])
    path = tmp_path / "figure.png"
    draw_classifier(labels, np.column_stack([1 - p, p]), ["no", "yes"], path, title="toy")
    roc, precision, table, bins = drawn[0].axes
    curve = roc.get_lines()[0].get_xydata().tolist()
    assert curve == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    np.testing.assert_allclose(precision.get_lines()[0].get_ydata(), [1, 0.5, 2 / 3, 0.5])
    assert [text.get_text() for text in table.texts] == ["1", "1", "1", "1"]
    np.testing.assert_allclose(bins.get_lines()[1].get_xdata(), [0.1, 0.4, 0.6, 0.9])
    assert roc.get_legend().get_texts()[0].get_text() == "yes: 0.750"
    assert path.stat().st_size > 1000


def test_of_several_classes_each_that_varies_has_a_curve(drawn, tmp_path):
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=20)
    labels = np.arange(20) % 2
    draw_classifier(labels, p, ["a", "b", "none"], tmp_path / "figure.png", title="toy")
    names = [text.get_text()[0] for text in drawn[0].axes[0].get_legend().get_texts()]
    assert names == ["a", "b"]


def test_of_many_labels_curves_go_from_the_best_to_the_worst(drawn, tmp_path):
    truths = np.tile(np.array([0, 1], dtype=np.uint8), 20)[:, None].repeat(22, axis=1)
    truths[:, 20], truths[:, 21] = 1, 0
    rng, noise = np.random.default_rng(0), np.linspace(0, 1, 22)
    p = (1 - noise) * truths + noise * rng.random(truths.shape)
    names = [f"l{number}" for number in range(22)]
    draw_labels(truths, p, names, tmp_path / "figure.png", title="toy")
    roc, _, areas, bins = drawn[0].axes
    shown = [text.get_text() for text in roc.get_legend().get_texts()]
    values = [float(text.split(": ")[1]) for text in shown]
    assert (len(shown), values[0]) == (8, 1.0)
    assert values == sorted(values, reverse=True)
    assert values[-1] == round(min(areas.get_lines()[0].get_ydata()), 3)
    assert len(areas.get_lines()[1].get_ydata()) == 20
    assert areas.get_title() == "20 labels; 2 do not vary"
    assert "probability of a label" in bins.get_xlabel()
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_labels_that_none_varies_have_no_curve(drawn, tmp_path):
    truths = np.ones((4, 2), dtype=np.uint8)
    draw_labels(truths, np.full((4, 2), 0.5), ["a", "b"], tmp_path / "figure.png", title="toy")
    assert drawn[0].axes[0].get_legend() is None


def test_values_are_drawn_against_what_was_measured(drawn, tmp_path):
    y, p = np.random.default_rng(0).normal(size=(2, 10, 2))
    draw_values(y, p, ["a (log2)", "b"], tmp_path / "figure.png", title="toy")
    first, second = drawn[0].axes
    np.testing.assert_array_equal(second.get_lines()[1].get_xydata(), np.stack([y, p], 2)[:, 1])
    assert first.get_xlabel() == "a (log2), measured"
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_each_class_and_target_needs_a_name(tmp_path):
    with pytest.raises(ValueError, match="expected 2 class names, got 1"):
        draw_classifier(np.array([0, 1]), np.full((2, 2), 0.5), ["a"], tmp_path / "x", title="")
    with pytest.raises(ValueError, match="expected 2 label names, got 1"):
        draw_labels(np.ones((3, 2)), np.full((3, 2), 0.5), ["a"], tmp_path / "x", title="")
    with pytest.raises(ValueError, match="expected 1 target names, got 2"):
        draw_values(np.ones(3), np.ones(3), ["a", "b"], tmp_path / "x", title="")
