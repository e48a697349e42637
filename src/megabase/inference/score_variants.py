"""Score variants; each distinct window is read once, in a batch of its own."""

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
from megabase.model.language import LanguageModel

_TOKENS_HELD = 1 << 17  # of the group of sites within which equal windows are read once


def score_variants(
    model: LanguageModel,
    reference: Reference,
    sites: Iterable[Site],
    *,
    window: int,
    both_strands: bool = True,
    with_distance: bool = False,
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
        Whether `VariantEffect.distance` is computed; it changes no other field.

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
        answers = _read(model, [request for each in requests for request in each], with_distance)
        for each in requests:
            yield [effect_of(request, answers) for request in each]


def _read(
    model: LanguageModel, requests: Sequence[VariantRequest], with_embedding: bool
) -> Mapping[bytes, WindowAnswer]:
    """Read each distinct window once, in a batch of its own, so that no bit depends on others."""
    windows = {
        tokens.tobytes(): tokens
        for request in requests
        for pair in request.pairs
        for tokens in (pair.ref, pair.alt)
    }
    if with_embedding:
        found = (tuple(each) for each in readings(model, windows.values()))
    else:
        none = np.full(1, np.nan)
        values = log_likelihoods(model, windows.values(), tokens_per_batch=1)
        found = ((each, none) for each in values)
    return {
        key: WindowAnswer(each.astype(np.float64), embedding)
        for key, (each, embedding) in zip(windows, found, strict=True)
    }
