"""What is scored and what rivals learn from, by the record of a model's training."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from megabase.data.region_file import read_regions
from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.split import hold_out_regions, hold_out_tail, merge, overlap_bp
from megabase.run.output import RECORD, record_of

_log = logging.getLogger(__name__)

_TEST_FRACTION = 0.1  # of each contig, of a genome that the model was not trained on


class Regions(NamedTuple):
    """What is scored, what the rivals learn from, and how many scored bases training saw."""

    scored: Sequence[Interval]
    training: Sequence[Interval]
    n_bases_trained_on: int | None


def trained_on(model: str) -> Mapping[str, Any]:
    """Return what a model's folder says of the genomes it was trained on, by name.

    Raises
    ------
    InputError
        If it says so otherwise than training does.
    """
    record = record_of(model)
    genomes = record["results"].get("genomes", {}) if record else {}
    try:
        for genome in genomes.values():
            _check_genome(genome)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{model}: {RECORD} holds no valid genomes of its training ({error!r}); fetch the "
            "folder again, or remove that file to evaluate without a record"
        ) from error
    return genomes


def _check_genome(genome: Mapping[str, Any]) -> None:
    """Raise one of the usual errors unless a genome has a path, a hash and the three parts."""
    texts = [genome["path"], genome["sha256"]]
    for part in ("train", "validation", "test"):
        for contig, start, end in genome["split"][part]:
            Interval(contig, start, end)
            texts.append(contig)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is not a text")


def choose_regions(
    model: str, store: TokenStore, bed: Path | None, *, name: str | None = None
) -> Regions:
    """Take what the training of a model held out, or the regions of a BED file.

    Where the folder does not tell of this genome, it is the last tenth of each contig.
    Rivals learn from what the model was allowed to learn from, scored bases excepted;
    of an unknown history, from all but the scored.

    Parameters
    ----------
    model
        A model's folder.
    store
        The genome.
    bed
        BED file of what is scored instead.
    name
        The genome's name in the training, where it may have several.

    Raises
    ------
    InputError
        If there is nothing to score, or nothing to learn from.
    """
    chosen = None if bed is None else merge(read_regions(bed, store))
    splits = {
        known: genome["split"]
        for known, genome in trained_on(model).items()
        if genome["sha256"] == store.sha256
    }
    if splits:
        regions = _after_training(splits, name, chosen, model)
    else:
        _log.info("%s has no record of training on this genome: its split is not known", model)
        regions = _of_unknown_history(store, chosen)
    if not regions.training:
        raise InputError(
            f"the regions leave nothing of {store.name} for the Markov model to learn from; "
            "choose fewer"
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
        raise InputError(f"the training of {model} held nothing out; name regions with --regions")
    n_seen = overlap_bp(scored, train)
    if n_seen:
        _log.warning("%s of the bases to score were trained on", f"{n_seen:,}")
    rest, _ = hold_out_regions([*train, *validation], scored)
    return Regions(scored, rest, n_seen)


def _of_unknown_history(store: TokenStore, chosen: list[Interval] | None) -> Regions:
    if chosen is None:
        rest, scored = hold_out_tail(store.contigs(), _TEST_FRACTION)
    else:
        rest, scored = hold_out_regions(store.contigs(), chosen)
    return Regions(scored, rest, None)
