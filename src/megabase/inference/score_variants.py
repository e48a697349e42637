"""Score variants; each distinct window of a group of sites is read once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from megabase.genome.reference import Reference
from megabase.genome.variant import Site
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
        requests = [requests_of(reference, site, window, both_strands) for site in some]
        every = [request for each in requests for request in each]
        answers = _read(model, every, with_distance, tokens_per_batch)
        for each in requests:
            yield [effect_of(request, answers) for request in each]


def _read(
    model: LanguageModel,
    requests: Sequence[VariantRequest],
    with_embedding: bool,
    tokens_per_batch: int,
) -> Mapping[bytes, WindowAnswer]:
    """Read each distinct window once."""
    windows = {
        tokens.tobytes(): tokens
        for request in requests
        for pair in request.pairs
        for tokens in (pair.ref, pair.alt)
    }
    if with_embedding:
        read = readings(model, windows.values(), tokens_per_batch=tokens_per_batch)
        found = (tuple(each) for each in read)
    else:
        none = np.full(1, np.nan)
        values = log_likelihoods(model, windows.values(), tokens_per_batch=tokens_per_batch)
        found = ((each, none) for each in values)
    return {
        key: WindowAnswer(each.astype(np.float64), embedding)
        for key, (each, embedding) in zip(windows, found, strict=True)
    }
