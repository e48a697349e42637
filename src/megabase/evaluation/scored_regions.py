"""The regions to score and those to fit baselines on, from the record of a model's training."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.split import hold_out_regions, hold_out_tail, merge, overlap_bp
from megabase.io.annotation import read_regions
from megabase.runtime.artifacts import RECORD, record_of

_log = logging.getLogger(__name__)

_TEST_FRACTION = 0.1  # of each contig, if the model has no record of training on the genome


class Regions(NamedTuple):
    """Regions of an evaluation.

    Attributes
    ----------
    scored
        Regions to score.
    training
        Regions to fit the baselines on.
    n_bases_trained_on
        Number of scored bases that the model was trained on; None if unknown.
    """

    scored: Sequence[Interval]
    training: Sequence[Interval]
    n_bases_trained_on: int | None


def trained_on(model: str) -> Mapping[str, Any]:
    """Return the record of the genomes that a model was trained on, by name.

    Parameters
    ----------
    model
        The model's folder; without a record the result is empty.

    Raises
    ------
    InputError
        If the record does not have the format that training writes.
    """
    record = record_of(model)
    genomes = record["results"].get("genomes", {}) if record else {}
    try:
        for genome in genomes.values():
            _check_genome(genome)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{model}: the training genomes in {RECORD} are invalid ({error!r}); fetch the "
            "folder again, or remove that file to evaluate without a record"
        ) from error
    return genomes


def _check_genome(genome: Mapping[str, Any]) -> None:
    """Raise a built-in error unless a genome has a path, a hash and the three splits."""
    texts = [genome["path"], genome["sha256"]]
    for part in ("train", "validation", "test"):
        for contig, start, end in genome["split"][part]:
            Interval(contig, start, end)
            texts.append(contig)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is not a string")


def choose_regions(
    model: str, store: TokenStore, bed: Path | None, *, name: str | None = None
) -> Regions:
    """Return the regions that the training of a model held out, or those of a BED file.

    Without a record of training on this genome, the scored regions are the last tenth of each
    contig. Baselines are fitted on the training and validation regions of the model, without
    the scored bases; without a record, on all bases that are not scored.

    Parameters
    ----------
    model
        The model's folder.
    store
        The genome.
    bed
        BED file of the regions to score instead.
    name
        Name of the genome in the training record; None: all genomes with the same hash.

    Raises
    ------
    InputError
        If there is nothing to score, or nothing to fit baselines on.
    """
    chosen = None
    if bed is not None:
        records = read_regions(bed, store.lengths, store.name)
        chosen = merge([record.interval for record in records])
    splits = {
        known: genome["split"]
        for known, genome in trained_on(model).items()
        if genome["sha256"] == store.sha256
    }
    if splits:
        regions = _after_training(splits, name, chosen, model)
    else:
        _log.info("%s has no record of training on this genome: its split is unknown", model)
        regions = _of_unknown_history(store, chosen)
    if not regions.training:
        raise InputError(
            f"the regions cover all of {store.name} that the Markov model could be fitted on; "
            "choose fewer or smaller regions"
        )
    return regions


def _after_training(
    splits: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]],
    name: str | None,
    chosen: list[Interval] | None,
    model: str,
) -> Regions:
    def part(key: str, names: Iterable[str]) -> list[Interval]:
        return merge(Interval(*place) for known in names for place in splits[known][key])

    train, validation = part("train", splits), part("validation", splits)
    scored = part("test", splits if name is None else [name]) if chosen is None else chosen
    if not scored:
        raise InputError(f"the training of {model} held out nothing; name regions with --regions")
    n_seen = overlap_bp(scored, train)
    if n_seen:
        _log.warning("the model was trained on %s of the bases to score", f"{n_seen:,}")
    rest, _ = hold_out_regions([*train, *validation], scored)
    return Regions(scored, rest, n_seen)


def _of_unknown_history(store: TokenStore, chosen: list[Interval] | None) -> Regions:
    if chosen is None:
        rest, scored = hold_out_tail(store.contigs(), _TEST_FRACTION)
    else:
        rest, scored = hold_out_regions(store.contigs(), chosen)
    return Regions(scored, rest, None)
