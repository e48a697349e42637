"""Figures show the numbers they were given."""

import sys

import numpy as np
import pytest

from megabase.report.figures import (
    new_figure,
    plot_bars,
    plot_map,
    plot_surprisal,
    plot_training,
    save_figure,
)

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture
def axes():
    return new_figure(1).axes[0]


def test_training_is_in_bits_against_millions_of_tokens(axes):
    metrics = [
        {"tokens": 1e6, "loss": np.log(4)},
        {"tokens": 2e6, "loss": np.log(2)},
        {"tokens": 2e6, "validation_loss": np.log(3)},
    ]
    plot_training(axes, metrics, {"Markov": 1.9})
    training, validation, baseline = axes.get_lines()
    np.testing.assert_allclose(training.get_xydata(), [[1, 2], [2, 1]])
    np.testing.assert_allclose(validation.get_xydata(), [[2, np.log2(3)]])
    assert set(baseline.get_ydata()) == {1.9}


def test_surprisal_is_drawn_for_each_codon_position(axes):
    bits = np.tile([1.0, 2.0, 3.0], 100)
    plot_surprisal(axes, bits, start=99, gene=("x", 130, 310), n_codons=10)
    first, second, third, _ = axes.get_lines()
    # 130 lies 31 after 99, so the gene's first codon position is the second of three
    assert [set(line.get_ydata().round(6)) for line in (first, second, third)] == [{2}, {3}, {1}]
    positions = (first.get_xdata() * 1e3).round().astype(int)
    assert set((positions - 130) % 3) == {0}


def test_bars_have_the_height_of_their_values(axes):
    plot_bars(axes, {"a": 1.5, "b": 2.0}, title="two")
    assert [bar.get_height() for bar in axes.patches] == [1.5, 2.0]
    assert axes.get_title() == "two"


def test_a_map_has_the_points_of_each_class_and_the_test_rows_with_an_edge(axes):
    points = np.arange(8.0).reshape(4, 2)
    labels, is_test = np.array([0, 1, 1, 0]), np.array([False, False, True, False])
    plot_map(axes, points, labels, is_test, ("no", "yes"), title="map")
    shown = [each.get_offsets().tolist() for each in axes.collections]
    assert shown == [[[0, 1], [6, 7]], [], [[2, 3]], [[4, 5]]]
    assert [len(each.get_edgecolors()) for each in axes.collections] == [0, 1, 0, 1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["no", "yes"]


def test_a_name_that_the_font_lacks_is_one_log_line(tmp_path, caplog, recwarn):
    figure = new_figure(1)
    figure.axes[0].set_title("a\tb")
    save_figure(figure, tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 0
    assert caplog.text.count("missing from font") == 1
    assert not recwarn.list


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r"pip install 'megabase\[plot\]'"):
        new_figure(1)
