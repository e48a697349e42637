"""Score variants; each distinct window of a group of sites is read once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.variant import Site
from megabase.genome.vocabulary import TokenArray
from megabase.inference.likelihood import log_likelihoods, readings
from megabase.inference.scores import (
    VariantEffect,
    VariantRequest,
    WindowAnswer,
    check_window,
    effect_of,
    requests_of,
)
from megabase.model.language import TOKENS_PER_BATCH, LanguageModel
from megabase.ops.memory import Gaps

_TOKENS_HELD = 1 << 17  # of the group of sites within which equal windows are read once


def score_variants(
    model: LanguageModel,
    reference: Reference,
    sites: Iterable[Site],
    *,
    window: int,
    both_strands: bool = True,
    with_distance: bool = False,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    gaps_of: Callable[[Interval], Gaps] | None = None,
) -> Iterator[list[VariantEffect]]:
    """Yield, for each site in order, the effect of each of its alternative alleles.

    A site that is not in the genome is skipped: its effects have a `skip_reason`.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    reference
        The genome.
    sites
        Sites and their alleles; the iterable is consumed in groups.
    window
        Bases of a window, from 2 to the context length.
    both_strands
        Whether effects are means over both strands, or those of the forward strand.
    with_distance
        Whether `VariantEffect.distance` is computed.
    tokens_per_batch
        The most tokens in a batch. With 1 each window is a batch by itself, and no bit of an
        effect depends on other sites.
    gaps_of
        Returns what does not count, for windows of an interval, of an index with which the memory
        begins: the same for both alleles. None: everything counts.

    Raises
    ------
    InputError
        If the model does not read such windows.
    WorkError
        If the log-likelihood of a base is NaN.
    """
    check_window(window, model.config.context_length)
    pending = iter(sites)
    while some := list(islice(pending, max(1, _TOKENS_HELD // window))):
        asked = [
            [
                (request, _gaps(request, gaps_of))
                for request in requests_of(reference, site, window, both_strands)
            ]
            for site in some
        ]
        every = [request for each in asked for request in each]
        has_gaps = gaps_of is not None
        answers = _read(model, every, with_distance, tokens_per_batch, has_gaps=has_gaps)
        for each in asked:
            yield [_effect(request, gaps, answers) for request, gaps in each]


_Gaps = tuple[tuple[int, int], ...]
_Key = tuple[bytes, _Gaps]


def _gaps(request: VariantRequest, gaps_of: Callable[[Interval], Gaps] | None) -> _Gaps:
    return () if gaps_of is None or request.place is None else tuple(gaps_of(request.place))


def _effect(
    request: VariantRequest, gaps: _Gaps, answers: Mapping[_Key, WindowAnswer]
) -> VariantEffect:
    return effect_of(request, lambda tokens: answers[tokens.tobytes(), gaps])


def _read(
    model: LanguageModel,
    requests: Sequence[tuple[VariantRequest, _Gaps]],
    with_embedding: bool,
    tokens_per_batch: int,
    *,
    has_gaps: bool,
) -> Mapping[_Key, WindowAnswer]:
    """Read each distinct window once."""
    windows: dict[_Key, TokenArray] = {}
    for request, gaps in requests:
        for pair in request.pairs:
            for tokens in (pair.ref, pair.alt):
                windows[tokens.tobytes(), gaps] = tokens
    gaps = (key[1] for key in windows) if has_gaps else None
    sequences, at_once = windows.values(), tokens_per_batch
    if with_embedding:
        read = readings(model, sequences, tokens_per_batch=at_once, gaps=gaps)
        found = (tuple(each) for each in read)
    else:
        none = np.full(1, np.nan)
        values = log_likelihoods(model, sequences, tokens_per_batch=at_once, gaps=gaps)
        found = ((each, none) for each in values)
    return {
        key: WindowAnswer(each.astype(np.float64), embedding)
        for key, (each, embedding) in zip(windows, found, strict=True)
    }
