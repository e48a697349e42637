"""The heat map shows the ratios, and each letter is as high as its importance."""

import numpy as np
import pytest

from megabase.report import mutagenesis_figure as module
from megabase.report.mutagenesis_figure import check_logo, draw_mutagenesis, importance

pytest.importorskip("logomaker")
figures = pytest.importorskip("matplotlib.figure")

RATIOS = np.array([[0.0, -1, -2, -3], [1, 0, 1, 1], [np.nan] * 4, [-4, np.nan, -4, 0]])


def test_importance_is_minus_the_mean_of_the_three_substitutions():
    np.testing.assert_allclose(importance(RATIOS, "ACNT"), [2, -1, np.nan, np.nan])


def test_a_figure_has_rows_of_a_hundred_bases(tmp_path, monkeypatch):
    ratios = np.concatenate([RATIOS[:2]] * 60 + [RATIOS])
    letters = "AC" * 60 + "ACNT"
    kept = []
    monkeypatch.setattr(
        module, "new_figure", lambda *a, **k: kept.append(_FIGURE(*a, **k)) or kept[0]
    )
    draw_mutagenesis(ratios, letters, tmp_path / "a.png", start=995, title="a region")
    heat, logo, second, last, _ = kept[0].axes
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    shown = heat.get_images()[0].get_array()
    np.testing.assert_array_equal(shown, ratios[:100].T)
    below = second.get_images()[0].get_array()
    np.testing.assert_array_equal(below.filled(np.nan), ratios[100:].T)
    assert [label.get_text() for label in logo.get_xticklabels()][:2] == ["1,000", "1,010"]
    heights = sorted({round(patch.get_extents().transformed(logo.transData.inverted()).height, 3)
                      for patch in logo.patches})  # fmt: skip
    assert heights == pytest.approx([1, 2], abs=0.05)
    assert len(last.patches) >= 22
    assert heat.get_title() == "a region"


_FIGURE = module.new_figure


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'megabase\[logo\]'"):
        check_logo()
