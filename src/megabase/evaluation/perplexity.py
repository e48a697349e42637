"""Held-out bits per base of a model, next to a Markov model on the same bases."""

import json
import logging
import math
import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from megabase.data.memory_index import MemoryIndex, OwnPlaces
from megabase.data.remembered_windows import GenomeText, features_of_windows, memory_after
from megabase.data.token_store import TokenStore, open_token_store
from megabase.errors import InputError, counted
from megabase.evaluation.compressor import Compression, compress, parse_command
from megabase.evaluation.scored_regions import choose_regions, trained_on
from megabase.genome.interval import Interval
from megabase.inference.choices import BEFORE, check_memory
from megabase.inference.predictor import Predictor
from megabase.metrics.bootstrap import ConfidenceInterval, bootstrap_ratio, interval_text
from megabase.metrics.label_efficiency import doubling
from megabase.metrics.markov import MarkovModel, fit_markov
from megabase.runtime.artifacts import Output, exclusive_lock
from megabase.runtime.location import cache_folder, genome_path
from megabase.runtime.log import progress

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bits:
    """Mean -log2 p of the true base, and its bootstrap interval; None for under ten windows."""

    bits_per_base: float
    interval: ConfidenceInterval | None


@dataclass(frozen=True)
class AtPosition:
    """The bits of the bases at positions `start` to `end` - 1 (0-based) of their window."""

    start: int
    end: int
    n_bases: int
    bits: Bits


@dataclass(frozen=True)
class PerplexityReport:
    """Bits per base of a model, a Markov model and base composition on the same bases.

    Parameters
    ----------
    model, markov, order0
        Bits of the model, of the interpolated Markov model, and of the base composition of both
        strands.
    gain
        Markov minus model, in bits per base; above 0 if the model is better.
    pooled, pooled_gain
        Bits of the Markov model of all genomes that the model was trained on, and these minus
        the model's; None if there is only one genome.
    compressor
        What a compressor needs for the same bases, after the same past as the model's memory; None
        if none was given.
    by_position
        Bits of the model by position in the window.
    markov_order
        The chosen order of the Markov model.
    context_length
        Maximum number of bases before the last base of a window.
    n_bases, n_unknown, n_windows
        Number of scored bases, of skipped N, and of windows.
    """

    model: Bits
    markov: Bits
    order0: Bits
    gain: Bits
    by_position: tuple[AtPosition, ...]
    markov_order: int
    context_length: int
    n_bases: int
    n_unknown: int
    n_windows: int
    pooled: Bits | None = None
    pooled_gain: Bits | None = None
    compressor: Compression | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the perplexity (2 to the bits per base) and its interval."""
        interval = self.model.interval
        return asdict(self) | {
            "perplexity": 2**self.model.bits_per_base,
            "perplexity_interval": None if interval is None else [2**end for end in interval],
        }


class KnownPast(NamedTuple):
    """What a memory has read before the contig of a window.

    Attributes
    ----------
    known
        Regions of the same genome; None: neither these nor what precedes a window was read.
    earlier
        Other genomes.
    beginning
        The index that the memory of the predictor begins with.
    """

    known: Sequence[Interval] | None
    earlier: Sequence[TokenStore] = ()
    beginning: MemoryIndex | None = None


def evaluate_perplexity(
    predictor: Predictor,
    store: TokenStore,
    regions: Sequence[Interval],
    training: Sequence[Interval],
    *,
    pooled: MarkovModel | None = None,
    context_length: int | None = None,
    memory: str = BEFORE,
    earlier: Sequence[TokenStore] = (),
    index: MemoryIndex | None = None,
    compressor: str | None = None,
    seed: int = 0,
) -> PerplexityReport:
    """Score every base of the regions once, with the model and with the baselines.

    The regions are cut into consecutive windows of the context length. The model also sees the
    one base before each window, and the Markov model as many as its order. N is read but not
    scored.

    Parameters
    ----------
    predictor
        The model.
    store
        The genome.
    regions
        Regions to score.
    training
        Regions to fit the baselines on: those that the model could learn from.
    pooled
        A further baseline, see `fit_pooled`.
    context_length
        Length of a window in bases; None: the context length of the model.
    memory
        One of `choices.MEMORIES`; no difference for a model without a memory.
    earlier
        Other genomes that memory and compressor have read before.
    index
        What the memory of the predictor begins with. With `memory` ``before`` the genome's own
        contigs do not count in it, because they are read in their own place; otherwise each window
        does not.
    compressor
        Command of a DNA compressor; see `compressor.compress`.
    seed
        Seed of the bootstrap.

    Raises
    ------
    InputError
        If there is no base to score, a window is longer than the model's context, or `memory` is
        unknown.
    """
    check_memory(memory)
    context_length = predictor.check_context_length(context_length)
    windows, n_bases = _cut(store, regions, context_length)
    plan = predictor.plan(longest=context_length + 1, n_tokens=sum(map(len, windows)))
    _log.info("evaluating: %s", plan)
    learned = [store.letters(region) for region in training]
    markov, order0 = fit_markov(learned), fit_markov(learned, max_order=0)
    edges = position_edges(context_length)
    past = KnownPast(training if memory == BEFORE else None, earlier, index)
    at_positions, known = _bits_of_model(predictor, store, windows, edges, past)
    by_model = at_positions.sum(axis=1)
    by_markov = _bits_of_markov(markov, store, windows)
    by_pooled = None if pooled is None else _bits_of_markov(pooled, store, windows)

    def bits(totals: Float[np.ndarray, " window"]) -> Bits:
        return mean_bits(totals, n_bases, seed=seed)

    return PerplexityReport(
        model=bits(by_model),
        markov=bits(by_markov),
        order0=bits(_bits_of_markov(order0, store, windows)),
        gain=bits(by_markov - by_model),
        by_position=tuple(
            AtPosition(start, end, int(n.sum()), mean_bits(totals, n, seed=seed))
            for (start, end), totals, n in zip(
                pairwise(edges), at_positions.T, known.T, strict=True
            )
            if n.any()
        ),
        markov_order=markov.order,
        context_length=context_length,
        n_bases=int(n_bases.sum()),
        n_unknown=sum(map(len, windows)) - int(n_bases.sum()),
        n_windows=len(windows),
        pooled=None if by_pooled is None else bits(by_pooled),
        pooled_gain=None if by_pooled is None else bits(by_pooled - by_model),
        compressor=None
        if compressor is None
        else compress(compressor, store, regions, training, earlier=earlier),
    )


def held_out_bits(
    predictor: Predictor,
    store: TokenStore,
    regions: Sequence[Interval],
    *,
    context_length: int | None = None,
    seed: int = 0,
) -> Bits:
    """Return the bits per base of the model alone, without the baselines.

    Parameters
    ----------
    predictor
        The model.
    store
        The genome.
    regions
        Regions to score.
    context_length
        Length of a window in bases; None: the context length of the model.
    seed
        Seed of the bootstrap.

    Raises
    ------
    InputError
        If there is no base to score, or a window is longer than the model's context.
    """
    context_length = predictor.check_context_length(context_length)
    windows, n_bases = _cut(store, regions, context_length)
    totals, _ = _bits_of_model(predictor, store, windows, [0, context_length], KnownPast(None))
    return mean_bits(totals.sum(axis=1), n_bases, seed=seed)


def _cut(
    store: TokenStore, regions: Sequence[Interval], context_length: int
) -> tuple[list[Interval], Float[np.ndarray, " window"]]:
    """Return the windows of the regions, and the number of scored bases of each."""
    windows = [window for region in regions for window in region.windows(context_length)]
    n_unknown = (n for region in regions for n in store.read(region).n_unknown(context_length))
    n_bases = np.array([len(w) - n for w, n in zip(windows, n_unknown, strict=True)], dtype=float)
    if not n_bases.sum():
        raise InputError("the regions to evaluate have no bases other than N; choose others")
    return windows, n_bases


def fit_pooled(learned: Sequence[tuple[TokenStore, Sequence[Interval]]]) -> MarkovModel:
    """Fit one Markov model on the regions of several genomes.

    Parameters
    ----------
    learned
        Each genome, with its regions to fit on.
    """
    return fit_markov([store.letters(region) for store, regions in learned for region in regions])


def mean_bits(
    totals: Float[np.ndarray, " window"], n_bases: Float[np.ndarray, " window"], *, seed: int
) -> Bits:
    """Return the bits per base over all windows, with a bootstrap interval over windows.

    Parameters
    ----------
    totals
        Sum of the bits of each window.
    n_bases
        Number of scored bases of each window; windows without any are ignored.
    seed
        Seed of the bootstrap.
    """
    totals, n_bases = totals[n_bases > 0], n_bases[n_bases > 0]
    mean = float(totals.sum() / n_bases.sum())
    return Bits(mean, bootstrap_ratio(totals, n_bases, seed=seed))


def position_edges(context_length: int) -> list[int]:
    """Return the edges that bin the positions of a window: 0, 1,024, 2,048, and so on, doubling.

    Examples
    --------
    >>> position_edges(5000)
    [0, 1024, 2048, 4096, 5000]
    """
    return [0, *doubling(1024, context_length)]


def _bits_of_model(
    predictor: Predictor,
    store: TokenStore,
    windows: Sequence[Interval],
    edges: Sequence[int],
    past: KnownPast,
) -> tuple[Float[np.ndarray, "window bucket"], Float[np.ndarray, "window bucket"]]:
    """Return the sums of bits and numbers of bases between the edges, for each window.

    The base before each window is context. The memory of a model that has one has read the past,
    and what precedes the window on its contig, or begins with the window.
    """
    widened = [_with_context(window, 1) for window in windows]
    sequences = (store.fetch(wide) for wide in widened)
    mixer = predictor.memory
    features = gaps = None
    index = past.beginning
    own_places = None if index is None else OwnPlaces.of_store(index, store)
    if own_places is not None and past.known is None:
        gaps = map(own_places, widened)
    if mixer is not None and past.known is not None:
        texts = [GenomeText(other, other.contigs()) for other in past.earlier]
        n_letters = sum(store.lengths.values())
        new_memory, after = mixer.new_memory, mixer.memory_after
        if own_places is not None:  # the genome's own contigs are read in their own place
            new_memory, after = partial(new_memory, gaps=own_places.whole()), None
        new_memory = memory_after(new_memory, texts, expected=n_letters)
        features = features_of_windows(new_memory, store, widened, past.known, after=after)
    totals: list[np.ndarray] = []
    with progress(len(windows), "evaluating", "windows") as meter:
        values = predictor.log_likelihoods(sequences, features=features, gaps=gaps)
        for window, wide, value in zip(windows, widened, values, strict=True):
            bits = np.full(edges[-1], np.nan)
            bits[: len(window)] = value[window.start - wide.start :] / -math.log(2)
            # NaN marks N and the positions beyond a short last window: neither counts.
            parts = (np.where(np.isnan(bits), 0.0, bits), ~np.isnan(bits) * 1.0)
            totals.append(np.stack([np.add.reduceat(part, edges[:-1]) for part in parts]))
            meter.advance()
    bits_of, n_of = np.stack(totals, axis=1)
    return bits_of, n_of


def _bits_of_markov(
    markov: MarkovModel, store: TokenStore, windows: Sequence[Interval]
) -> Float[np.ndarray, " window"]:
    """Return the sum of the bits of each window; the bases before it are context."""
    widened = [_with_context(window, markov.order) for window in windows]
    return np.array(
        [
            _bits(markov.log_probabilities(store.letters(wide))[window.start - wide.start :])
            for window, wide in zip(windows, widened, strict=True)
        ]
    )


def _bits(log_likelihoods: Float[np.ndarray, " length"]) -> float:
    return float(-np.nansum(log_likelihoods, dtype=np.float64) / math.log(2))


def _with_context(window: Interval, n_bases: int) -> Interval:
    """Extend a window to the left by `n_bases`, but not beyond the start of its contig."""
    return replace(window, start=max(0, window.start - n_bases))


def load_after(model: str, device: str, index: MemoryIndex | None) -> Predictor:
    """Load a model whose memory begins with an index, if there is one.

    Raises
    ------
    InputError
        If the model cannot be read, or has no memory, or one with other orders.
    """
    predictor = Predictor.load(model, device=device)
    if index is not None:
        predictor.begin_with(index.base, f"the index {index.path}")
    return predictor


def evaluate_held_out(
    model: str,
    genome: str | None = None,
    *,
    regions: Path | None = None,
    context_length: int | None = None,
    memory: str | None = None,
    remember: Sequence[str] = (),
    index: Path | None = None,
    compressor: str | None = None,
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
    memory
        One of `choices.MEMORIES`, for a model with a memory; None: ``before``.
    remember
        FASTA or 2bit files of other genomes, such as relatives, that the memory and the compressor
        have read before.
    index
        File of `pipelines.index` with which the memory begins; the genome's own contigs do not
        count in it.
    compressor
        Command of a DNA compressor, run on the same bases; see `compressor.compress`.
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
        ``revision``, ``weights_sha256``, ``regions`` as (contig, start, end), ``seed``,
        ``memory`` if the model has one, and ``n_bases_trained_on``: the number of scored bases the
        model was trained on, None if unknown. Without `genome`, ``genomes`` holds such a report
        for each genome, by name; with several genomes, a Markov model pooled over all of them is
        a further baseline.

    Raises
    ------
    InputError
        If an input is invalid, the model has no memory but `memory` is given, or there is nothing
        to score or to fit baselines on.
    """
    opened = None if index is None else MemoryIndex(index)
    program = {} if compressor is None else {"compressor": shlex.join(parse_command(compressor))}
    earlier = [open_token_store(genome_path(path), cache=cache_folder()) for path in remember]
    names = {"": genome} if genome is not None else _own_genomes(model, regions)
    stores = {
        name: open_token_store(genome_path(path), cache=cache_folder())
        for name, path in names.items()
    }
    chosen = {
        name: choose_regions(model, store, regions, name=name or None)
        for name, store in stores.items()
    }
    predictor = load_after(model, device, opened)
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
    of_memory = {} if predictor.memory is None else {"memory": memory or BEFORE}
    _check_past(model, of_memory, memory, remember, compressor)
    request |= of_memory | program
    request |= {} if opened is None else {"index": opened.fingerprint}
    if remember:
        request["remember"] = {
            path: store.sha256 for path, store in zip(remember, earlier, strict=True)
        }
    place = Output(output, request, is_folder=False, overwrite=overwrite) if output else None
    if output and place and place.is_finished:
        return json.loads(output.read_text(encoding="utf-8"))
    several = [(store, chosen[name].training) for name, store in stores.items()]
    with exclusive_lock(output, is_folder=False) if output else nullcontext():
        pooled = fit_pooled(several) if len(several) > 1 else None
        reports = {
            name: about[name]
            | of_memory
            | evaluate_perplexity(
                predictor,
                store,
                chosen[name].scored,
                chosen[name].training,
                pooled=pooled,
                context_length=context_length,
                memory=memory or BEFORE,
                earlier=earlier,
                index=opened,
                compressor=compressor,
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


def _check_past(
    model: str,
    of_memory: Mapping[str, str],
    memory: str | None,
    remember: Sequence[str],
    compressor: str | None,
) -> None:
    """Raise an InputError for options of a memory that nothing would use."""
    if memory is not None and not of_memory:
        raise InputError(f"{model} has no memory; leave out the memory option")
    if remember and compressor is None and of_memory.get("memory") != BEFORE:
        raise InputError(
            "nothing would read the genomes of --remember: it needs a model with a memory and "
            "--memory before, or --compressor; leave it out"
        )


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


def bits_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return a table of the bits per base of a genome: a header, and a row for each predictor.

    Parameters
    ----------
    report
        The report of one genome.
    """
    named = {
        "model": "this model",
        "markov": f"Markov, order {report['markov_order']}",
        "order0": "base composition",
        "gain": "Markov - model",
    }
    if report["pooled"]:
        named |= {"pooled": "Markov, all genomes", "pooled_gain": "all genomes - model"}
    rows = [("", "bits per base", "95 % interval")]
    for key, name in named.items():
        found = report[key]
        rows.append((name, f"{found['bits_per_base']:.4f}", interval_text(found["interval"])))
    if found := report.get("compressor"):
        took = f"({found['microseconds_per_base']:.1f} us per base, {found['command']})"
        rows.append(("compressor", f"{found['bits_per_base']:.4f}", took))
    return rows


def perplexity_line(report: Mapping[str, Any]) -> str:
    """Return the perplexity on a genome, its interval, and what it was measured on."""
    return (
        f"perplexity {report['perplexity']:.4f} ({interval_text(report['perplexity_interval'])}); "
        f"{counted(report['n_bases'], 'base')} in "
        f"{counted(report['n_windows'], 'window')} of {report['context_length']:,} bp"
    )
