"""The context evaluation as a folder: JSON, a figure and an HTML page."""

import json
from pathlib import Path
from typing import Any

from megabase.data.token_store import open_token_store
from megabase.evaluation.context import evaluate_context
from megabase.evaluation.regions import choose_regions
from megabase.inference.predictor import Predictor
from megabase.report.page import context_page
from megabase.report.plot import figure_class, plot_context
from megabase.run.location import cache_folder, genome_path
from megabase.run.output import Output, only_writer, whole_files

JSON, FIGURE, PAGE = "context.json", "context.png", "context.html"


def report_context(
    model: str,
    genome: str,
    output: Path,
    *,
    regions: Path | None = None,
    context_length: int | None = None,
    n_windows: int = 32,
    gain_only: bool = False,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Run `evaluate_context` on held-out regions, and write the results to a folder.

    Parameters
    ----------
    model
        Model folder, hub id or asset:NAME; see `model.load`.
    genome
        FASTA or 2bit file, or asset:NAME.
    output
        The folder to write: `context.json`, `context.png` and `context.html`.
    regions
        BED file of the regions to take windows from; None: those of `choose_regions`.
    context_length
        Length of a window in bases; None: the context length of the model.
    n_windows
        Maximum number of windows.
    gain_only
        Skip permuted and repeated sequences, which are most of the work.
    seed
        Seed of permutations and bootstraps.
    device
        Device to run on; ``auto`` chooses one.
    overwrite
        Replace an existing output.

    Returns
    -------
    report
        The content of `context.json`.

    Raises
    ------
    InputError
        If an input is invalid, too few windows fit the regions, or matplotlib is missing.
    """
    figure_class()
    store = open_token_store(genome_path(genome), cache=cache_folder())
    chosen = choose_regions(model, store, regions)
    predictor = Predictor.load(model, device=device)
    about: dict[str, Any] = {
        "genome": genome,
        "genome_sha256": store.sha256,
        "model_name": model,
        "weights_sha256": predictor.weights_sha256,
        "regions": [[i.contig, i.start, i.end] for i in chosen.scored],
        "n_bases_trained_on": chosen.n_bases_trained_on,
        "n_windows_asked": n_windows,
        "seed": seed,
    }
    request: dict[str, Any] = {"command": "evaluate context", **about}
    options: dict[str, Any] = {"context_length": context_length, "gain_only": gain_only}
    request |= {key: value for key, value in options.items() if value}
    place = Output(output, request, is_folder=True, overwrite=overwrite)
    if place.is_finished:
        return json.loads((output / JSON).read_text(encoding="utf-8"))
    with only_writer(output):
        place.start()
        found = evaluate_context(
            predictor, store, chosen.scored, n_windows=n_windows, seed=seed, **options
        )
        report = about | found.to_dict()
        with whole_files(output) as folder:
            (folder / JSON).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            plot_context(report, folder / FIGURE)
            (folder / PAGE).write_text(
                context_page(report, folder / FIGURE), encoding="utf-8", errors="backslashreplace"
            )
        place.finish()
    return report
