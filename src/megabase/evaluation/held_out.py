"""Evaluate a model folder on what its training held out, or on regions of one's choice."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from megabase.data.region_file import read_regions
from megabase.data.token_store import TokenStore, open_token_store
from megabase.errors import InputError
from megabase.evaluation.perplexity import evaluate_perplexity
from megabase.genome.interval import Interval
from megabase.genome.split import hold_out_regions, hold_out_tail, merge, overlap_bp
from megabase.inference.predictor import Predictor
from megabase.run.location import cache_folder, genome_path
from megabase.run.output import Output, read_record

_log = logging.getLogger(__name__)

_TEST_FRACTION = 0.1  # of each contig, of a genome that the model was not trained on


class _Plan(NamedTuple):
    """What is scored, what the rivals learn from, and how many scored bases training saw."""

    regions: Sequence[Interval]
    training: Sequence[Interval]
    n_bases_trained_on: int | None


def evaluate_held_out(
    model: str,
    genome: str,
    *,
    regions: Path | None = None,
    output: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure bits per base on held-out regions, beside the rivals of `evaluate_perplexity`.

    Where the model's folder says that it was trained on this genome, the regions are its
    test part by default, and the rivals learn from its training and validation parts.
    Else the regions are the last tenth of each contig by default, and the rivals learn
    from all the rest.

    Parameters
    ----------
    model
        What `model.load` takes.
    genome
        FASTA or 2bit file, or asset:NAME.
    regions
        BED file of what to score instead.
    output
        JSON file for the report.
    seed, device, overwrite
        For the bootstrap; where to run; whether an output that is there may be replaced.

    Returns
    -------
    report
        `PerplexityReport.to_dict`, and ``genome``, ``genome_sha256``, ``model_name``,
        ``revision``, ``weights_sha256``, ``regions`` as (contig, start, end), ``seed``, and
        ``n_bases_trained_on``: how many of the scored bases the model had learned from,
        None if that is not known.

    Raises
    ------
    InputError
        If an input cannot be used, or there is nothing to score or to learn from.
    """
    store = open_token_store(genome_path(genome), cache=cache_folder())
    chosen = merge(read_regions(regions, store)) if regions else None
    plan = _plan(model, store, chosen)
    predictor = Predictor.load(model, device=device)
    about: dict[str, Any] = {
        "genome": genome,
        "genome_sha256": store.sha256,
        "model_name": model,
        "revision": predictor.revision,
        "weights_sha256": predictor.weights_sha256,
        "regions": [[region.contig, region.start, region.end] for region in plan.regions],
        "n_bases_trained_on": plan.n_bases_trained_on,
        "seed": seed,
    }
    request = {"command": "evaluate perplexity", **about}
    place = Output(output, request, is_folder=False, overwrite=overwrite) if output else None
    if output and place and place.is_finished:
        return json.loads(output.read_text())
    report = evaluate_perplexity(predictor, store, plan.regions, plan.training, seed=seed)
    result = about | report.to_dict()
    if place:
        with place.write() as file:
            json.dump(result, file, indent=2)
            file.write("\n")
    return result


def _plan(model: str, store: TokenStore, chosen: list[Interval] | None) -> _Plan:
    """Decide what is scored and learned from, by the record of the model's training."""
    record = read_record(Path(model)) if Path(model).is_dir() else None
    results = record["results"] if record else {}
    if results.get("genome_sha256") == store.sha256:
        return _plan_after_training(results["split"], chosen, model)
    if chosen is None:
        rest, test = hold_out_tail(store.contigs(), _TEST_FRACTION)
    else:
        rest, test = hold_out_regions(store.contigs(), chosen)
    if not rest:
        raise InputError(
            f"the regions leave nothing of {store.name} for the Markov model to learn from; "
            "choose fewer"
        )
    _log.info("%s has no record of training on this genome: its own split is not known", model)
    return _Plan(test, rest, None)


def _plan_after_training(
    split: dict[str, list[list[Any]]], chosen: list[Interval] | None, model: str
) -> _Plan:
    train, validation, test = (
        [Interval(*place) for place in split[part]] for part in ("train", "validation", "test")
    )
    regions = test if chosen is None else chosen
    if not regions:
        raise InputError(f"the training of {model} held nothing out; name regions with --regions")
    n_seen = overlap_bp(regions, train)
    if n_seen:
        _log.warning("%s of the bases to score were trained on", f"{n_seen:,}")
    return _Plan(regions, [*train, *validation], n_seen)
