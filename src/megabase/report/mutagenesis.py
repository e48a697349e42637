"""Figure of a saturation mutagenesis: a heat map of substitutions, and letters by their height."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from megabase.errors import InputError
from megabase.report.plot import figure_class, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MOST_BASES = 2000
"""Of a region that is drawn."""

_BASES = "ACGT"
_PER_ROW = 100  # bases


def check_logo() -> None:
    """Ask for what figures are made of, before long work that ends in them.

    Raises
    ------
    InputError
        If logomaker or matplotlib is not installed.
    """
    figure_class()
    if find_spec("logomaker") is None:
        raise InputError("sequence logos need logomaker: pip install 'megabase[logo]'")


def importance(ratios: Float[np.ndarray, "length 4"], letters: str) -> Float[np.ndarray, " length"]:
    """Give minus the mean log-likelihood ratio of the three substitutions of each base, in nats.

    Parameters
    ----------
    ratios
        Of A, C, G, T in the place of each base; alternative minus reference.
    letters
        What stands there, in capitals; where that is none of A C G T, it is NaN.

    Examples
    --------
    >>> importance(np.array([[0.0, -1.0, -2.0, -3.0]]), "A")
    array([2.])
    """
    is_known = np.array([letter in _BASES for letter in letters])
    is_other = np.array([[letter != base for base in _BASES] for letter in letters])
    total = np.where(is_other, ratios, 0.0).sum(axis=1)
    return np.where(is_known, -total / (len(_BASES) - 1), np.nan)


def draw_mutagenesis(
    ratios: Float[np.ndarray, "length 4"], letters: str, path: Path, *, start: int, title: str
) -> None:
    """Draw a region in rows of 100 bases, each a heat map and below it a logo, to a PNG file.

    A dot marks the base that stands there; grey is what has no score. In the logo its
    letter is as high as `importance` says: above the line, substitutions make the region
    less likely.

    Parameters
    ----------
    ratios
        Log-likelihood ratios of A, C, G, T in the place of each base, in nats.
    letters
        What stands there, in capitals.
    path
        The file.
    start
        0-based position of the first base.
    title
        What is drawn.

    Raises
    ------
    InputError
        If logomaker or matplotlib is not installed.
    """
    check_logo()
    rows = range(0, len(letters), _PER_ROW)
    figure = new_figure(2 * len(rows), width=14.0, row_height=1.3)
    limit = float(np.nanmax(np.abs(ratios), initial=1e-9))
    heights = np.nan_to_num(importance(ratios, letters))
    span = (min(0.0, heights.min()), max(1e-9, heights.max()))
    axes = figure.axes
    for index, first in enumerate(rows):
        part = slice(first, first + _PER_ROW)
        heat, logo = axes[2 * index : 2 * index + 2]
        image = _draw_heat_map(heat, ratios[part], letters[part], limit)
        _draw_logo(logo, heights[part], letters[part])
        logo.set(ylim=(1.1 * span[0], 1.1 * span[1]), ylabel="importance")
        for each in (heat, logo):
            _number(each, start + first)
        if not index:
            heat.set_title(title)
            figure.colorbar(image, ax=axes, label="log-likelihood ratio (nats)", shrink=0.5)
    axes[-1].set_xlabel("position, counted from 0")
    save_figure(figure, path)


def _draw_heat_map(
    axes: "Axes", ratios: Float[np.ndarray, "length 4"], letters: str, limit: float
) -> "AxesImage":
    image = axes.imshow(
        np.ma.masked_invalid(ratios.T), cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto"
    )
    image.set_cmap(image.get_cmap().with_extremes(bad="0.8"))
    axes.tick_params(labelbottom=False)
    places = [(x, _BASES.index(base)) for x, base in enumerate(letters) if base in _BASES]
    axes.plot([x for x, _ in places], [y for _, y in places], ".", color="0.2", markersize=2)
    axes.set_yticks(range(len(_BASES)), list(_BASES))
    return image


def _draw_logo(axes: "Axes", heights: Float[np.ndarray, " length"], letters: str) -> None:
    import logomaker  # noqa: PLC0415 an extra, imported at its door
    import pandas as pd  # noqa: PLC0415 what logomaker takes

    table = {base: heights * [base == letter for letter in letters] for base in _BASES}
    logomaker.Logo(pd.DataFrame(table), ax=axes, flip_below=False)


def _number(axes: "Axes", start: int) -> None:
    """Let rows be equally wide, and number every tenth base."""
    ticks = np.arange(-start % 10, _PER_ROW, 10)
    axes.set_xlim(-0.5, _PER_ROW - 0.5)
    axes.set_xticks(ticks, [f"{start + tick:,}" for tick in ticks], fontsize="x-small")
