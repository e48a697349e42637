"""Draw the filters of models, as functions of the distance back.

python experiments/draw_filters.py --models "published=DIR/published-0;ours=DIR/ours-0" \
    --figure filters.png

Each panel shows every eighth channel of a model's first layer: the taps from distance 0 backwards,
each channel divided by its largest tap.
"""

from pathlib import Path
from typing import Annotated, cast

import torch
import typer

from megabase.model.hyena import ImplicitFilter
from megabase.model.load import load
from megabase.report.figures import new_figure

TAPS, EVERY = 128, 8


def main(
    models: Annotated[str, typer.Option(help="NAME=FOLDER, separated by semicolons.")],
    figure: Annotated[Path, typer.Option(help="PNG file to draw.")],
) -> None:
    """Draw a panel for each model."""
    named = [text.split("=", 1) for text in models.split(";")]
    drawing = new_figure(len(named))
    for axes, (name, folder) in zip(drawing.axes, named, strict=True):
        filters = cast("ImplicitFilter", load(folder).model.backbone.blocks[0].mixer.filters)
        with torch.no_grad():
            taps = filters(TAPS)[0, ::EVERY]
        axes.plot((taps / taps.abs().amax(dim=1, keepdim=True)).t().numpy(), linewidth=0.8)
        axes.set(title=name, xlabel="bases back", ylabel="tap / largest tap")
    drawing.savefig(figure, dpi=120)


if __name__ == "__main__":
    typer.run(main)
