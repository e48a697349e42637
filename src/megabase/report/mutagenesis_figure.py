"""Figure of a saturation mutagenesis: a heat map of substitutions and a sequence logo."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from megabase.errors import InputError
from megabase.report.figures import figure_class, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MOST_BASES = 2000
"""Maximum length of a region to draw, in bases."""

_BASES = "ACGT"
_PER_ROW = 100  # bases in each row of the figure


def check_logo() -> None:
    """Check that the drawing libraries are installed; call it before long work.

    Raises
    ------
    InputError
        If logomaker or matplotlib is not installed.
    """
    figure_class()
    if find_spec("logomaker") is None:
        raise InputError("sequence logos need logomaker: pip install 'megabase[logo]'")


def importance(ratios: Float[np.ndarray, "length 4"], letters: str) -> Float[np.ndarray, " length"]:
    """Return minus the mean log-likelihood ratio of the three substitutions of each base.

    The unit is nats. Positions whose letter is not A, C, G or T are NaN.

    Parameters
    ----------
    ratios
        Log-likelihood ratio of A, C, G and T at each position, in nats; alternative minus
        reference.
    letters
        The reference sequence, in capitals.

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
    """Draw a region to a PNG file, in rows of 100 bases: a heat map with a logo below it.

    In the heat map a dot marks the reference base, and missing scores are grey. In the logo
    the height of a letter is its `importance`: substitutions of letters above the line make
    the region less likely.

    Parameters
    ----------
    ratios
        Log-likelihood ratio of A, C, G and T at each position, in nats; alternative minus
        reference.
    letters
        The reference sequence, in capitals.
    path
        The PNG file to write.
    start
        0-based position of the first base.
    title
        Title of the figure.

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
    import logomaker  # noqa: PLC0415 an optional extra
    import pandas as pd  # noqa: PLC0415 logomaker takes a data frame

    table = {base: heights * [base == letter for letter in letters] for base in _BASES}
    logomaker.Logo(pd.DataFrame(table), ax=axes, flip_below=False)


def _number(axes: "Axes", start: int) -> None:
    """Set all rows to the same width, and label every tenth base with its position."""
    ticks = np.arange(-start % 10, _PER_ROW, 10)  # offsets at which start + offset ends in 0
    axes.set_xlim(-0.5, _PER_ROW - 0.5)
    axes.set_xticks(ticks, [f"{start + tick:,}" for tick in ticks], fontsize="x-small")
