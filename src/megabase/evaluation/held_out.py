"""Evaluate a model on the regions that its training held out, or on those of a BED file."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from megabase.data.token_store import open_token_store
from megabase.errors import InputError
from megabase.evaluation.perplexity import evaluate_perplexity, fit_pooled
from megabase.evaluation.regions import choose_regions, trained_on
from megabase.inference.predictor import Predictor
from megabase.run.location import cache_folder, genome_path
from megabase.run.output import Output, only_writer


def evaluate_held_out(
    model: str,
    genome: str | None = None,
    *,
    regions: Path | None = None,
    context_length: int | None = None,
    output: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure bits per base of a model and of the baselines on held-out regions.

    `choose_regions` chooses the regions to score and those to fit the baselines on.

    Parameters
    ----------
    model
        Model folder, hub id or asset:NAME; see `model.load`.
    genome
        FASTA or 2bit file, or asset:NAME; None: every genome in the record of the model's
        training.
    regions
        BED file of the regions to score instead of the held-out ones.
    context_length
        Length of a window in bases; None: the context length of the model.
    output
        JSON file for the report.
    seed
        Seed of the bootstrap.
    device
        Device to run on; ``auto`` chooses one.
    overwrite
        Replace an existing output.

    Returns
    -------
    report
        `PerplexityReport.to_dict`, with ``genome``, ``genome_sha256``, ``model_name``,
        ``revision``, ``weights_sha256``, ``regions`` as (contig, start, end), ``seed``, and
        ``n_bases_trained_on``: the number of scored bases the model was trained on, None if
        unknown. Without `genome`, ``genomes`` holds such a report for each genome, by name;
        with several genomes, a Markov model pooled over all of them is a further baseline.

    Raises
    ------
    InputError
        If an input is invalid, or there is nothing to score or to fit baselines on.
    """
    names = {"": genome} if genome is not None else _own_genomes(model, regions)
    stores = {
        name: open_token_store(genome_path(path), cache=cache_folder())
        for name, path in names.items()
    }
    chosen = {
        name: choose_regions(model, store, regions, name=name or None)
        for name, store in stores.items()
    }
    predictor = Predictor.load(model, device=device)
    about = {
        name: {
            "genome": names[name],
            "genome_sha256": store.sha256,
            "model_name": model,
            "revision": predictor.revision,
            "weights_sha256": predictor.weights_sha256,
            "regions": [[i.contig, i.start, i.end] for i in chosen[name].scored],
            "n_bases_trained_on": chosen[name].n_bases_trained_on,
            "seed": seed,
        }
        for name, store in stores.items()
    }
    request: dict[str, Any] = {"command": "evaluate perplexity", "genomes": about}
    if context_length is not None:
        request["context_length"] = context_length
    place = Output(output, request, is_folder=False, overwrite=overwrite) if output else None
    if output and place and place.is_finished:
        return json.loads(output.read_text(encoding="utf-8"))
    several = [(store, chosen[name].training) for name, store in stores.items()]
    with only_writer(output, is_folder=False) if output else nullcontext():
        pooled = fit_pooled(several) if len(several) > 1 else None
        reports = {
            name: about[name]
            | evaluate_perplexity(
                predictor,
                store,
                chosen[name].scored,
                chosen[name].training,
                pooled=pooled,
                context_length=context_length,
                seed=seed,
            ).to_dict()
            for name, store in stores.items()
        }
        result = {"genomes": reports} if genome is None else reports[""]
        if place:
            with place.write() as file:
                json.dump(result, file, indent=2)
                file.write("\n")
    return result


def _own_genomes(model: str, regions: Path | None) -> dict[str, str]:
    """Return the paths of the genomes that a model was trained on, by name."""
    genomes = {name: genome["path"] for name, genome in trained_on(model).items()}
    if not genomes:
        raise InputError(
            f"{model} has no record of the genomes it was trained on; name one with --genome"
        )
    if absent := [path for path in genomes.values() if not genome_path(path).is_file()]:
        raise InputError(
            f"{model} was trained on {absent[0]}, which does not exist here; run in the directory "
            "of the training's genomes, or name a genome with --genome"
        )
    if regions is not None:
        raise InputError("--regions is a BED file of one genome; name that genome with --genome")
    return genomes
