"""The answers for held-out rows are drawn if they can be, and their calibration is reported."""

import sys

import numpy as np
import pytest

from megabase.training.outcome import calibration, draw

P = np.array([0.1, 0.6, 0.4, 0.9])
ANSWERS = {
    "binary": (np.array([0, 0, 1, 1]), np.column_stack([1 - P, P])),
    "multiclass": (np.array([0, 1, 2]), np.full((3, 3), 1 / 3)),
    "multilabel": (np.array([[0, 1], [1, 1]], dtype=np.uint8), np.full((2, 2), 0.25)),
    "regression": (np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0])),
}
NAMES = {"binary": "ab", "multiclass": "abc", "multilabel": "ab", "regression": "a"}


def test_calibration_is_of_probabilities():
    found = calibration("binary", *ANSWERS["binary"])
    assert found["brier_score"] == pytest.approx(np.mean([0.01, 0.36, 0.36, 0.01]))
    assert found["expected_calibration_error"] == pytest.approx(np.mean([0.1, 0.6, 0.6, 0.1]))
    found = calibration("multilabel", *ANSWERS["multilabel"])
    assert found["expected_calibration_error"] == pytest.approx(0.5)
    assert calibration("regression", *ANSWERS["regression"]) is None


@pytest.mark.parametrize("kind", ANSWERS)
def test_each_kind_is_drawn(kind, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "test.png"
    draw(kind, *ANSWERS[kind], list(NAMES[kind]), path, title="toy")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_omitted_figures_are_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level("INFO"):
        draw("binary", *ANSWERS["binary"], "ab", tmp_path / "test.png", title="toy")
    assert "test.png is left out: figures need matplotlib: pip install" in caplog.text
    assert not (tmp_path / "test.png").exists()
