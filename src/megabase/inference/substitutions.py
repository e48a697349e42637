r"""Saturation mutagenesis: the log-likelihood ratio of every substitution in a region.

The exact mode scores each substitution as a variant. The gradient mode estimates all
substitutions of a stretch from one forward and one backward pass. With the one-hot rows v of
a window, which the model reads as :math:`v W` with its embedding W, let

.. math::
   :label: mutagenesis-gradient

   \Lambda(v) = \sum_t \sum_b v_{tb} \ln p_b(t \mid v_{<t}), \qquad
   \mathrm{LLR}_{tb} \approx
   \frac{\partial \Lambda}{\partial v_{tb}} - \frac{\partial \Lambda}{\partial v_{t x_t}}

with :math:`x_t` the base at t. :math:`\Lambda` is the log-likelihood of the window. It is
linear in row t as a prediction target, so the change of the base's own probability is exact;
the effect of the base on the bases after it is approximated to first order. The memory of a model
that has one is that of the genome: the estimate leaves out how a substitution changes it.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float64
from torch.nn import functional

from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.variant import substitution_sites
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY, TokenArray
from megabase.inference.adapters import OneHotModel
from megabase.inference.score_variants import score_variants
from megabase.inference.scores import check_window, is_mostly_n
from megabase.inference.windows import MODES, gradient_windows
from megabase.model.language import TOKENS_PER_BATCH, LanguageModel
from megabase.ops.memory import Gaps


def saturation_mutagenesis(
    model: LanguageModel,
    reference: Reference,
    region: Interval,
    *,
    window: int,
    mode: str = "exact",
    both_strands: bool = True,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    gaps_of: Callable[[Interval], Gaps] | None = None,
) -> Float64[np.ndarray, "length 4"]:
    """Score every substitution of a region, in nats, alternative minus reference.

    Except for rounding, a value depends on contig, position and `window` alone, not on where
    the region starts or ends.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    reference
        The genome.
    region
        The bases to change; of any length, its strand is ignored.
    window
        Bases of a window, from 2 to the context length.
    mode
        One of `MODES`. ``exact`` is `score_variants`: about four passes for each base and
        strand. ``gradient`` is Eq. mutagenesis-gradient, with the windows of
        `gradient_windows`: the cost of about six passes for each strand and half a window.
    both_strands
        Whether values are means over both strands, or those of the forward strand.
    tokens_per_batch
        The most tokens in a batch in the exact mode. With 1 each window is a batch by itself, as
        it is in the gradient mode, and no bit of a value depends on the region.

    Returns
    -------
    ratios
        For each base, the ratios of A, C, G, T of the forward strand; 0 for the base of the
        genome. All four are NaN if that base is N or ambiguous; the other three are NaN if more
        than half of a window is N.
    gaps_of
        As in `score_variants`.

    Raises
    ------
    InputError
        If the region is not in the genome, the model does not read such windows, or the
        mode is unknown.
    WorkError
        If a log-likelihood is NaN, or a gradient is NaN or infinite.
    """
    check_window(window, model.config.context_length)
    if mode not in MODES:
        raise InputError(f"the mode must be one of {', '.join(MODES)}; got {mode!r}")
    region = replace(region, strand="+")
    tokens = _tokens(reference, region)
    if mode == "exact":
        ratios = _exact(model, reference, region, window, both_strands, tokens_per_batch, gaps_of)
    else:
        ratios = _estimated(model, reference, region, window, both_strands, gaps_of)
    bases = DNA_VOCABULARY.to_bases(tokens)
    ratios[bases == len(DNA.bases)] = np.nan
    known = np.flatnonzero(bases < len(DNA.bases))
    ratios[known, bases[known]] = 0.0
    return ratios


def _tokens(reference: Reference, interval: Interval) -> TokenArray:
    name = f"{interval.contig} of {reference.name}"
    letters = reference.fetch(interval)
    return DNA_VOCABULARY.encode(letters, name=name, start=interval.start).tokens


def _exact(
    model: LanguageModel,
    reference: Reference,
    region: Interval,
    window: int,
    both_strands: bool,
    tokens_per_batch: int,
    gaps_of: Callable[[Interval], Gaps] | None,
) -> Float64[np.ndarray, "length 4"]:
    """Score each base as one site with three alleles, which share the reference windows."""
    letters = reference.fetch(region)
    sites = list(substitution_sites(region.contig, letters, start=region.start))
    ratios = np.full((len(region), len(DNA.bases)), np.nan)
    found = score_variants(
        model, reference, sites, window=window, both_strands=both_strands,
        tokens_per_batch=tokens_per_batch, gaps_of=gaps_of,
    )  # fmt: skip
    for site, effects in zip(sites, found, strict=True):
        for alt, effect in zip(site.alts, effects, strict=True):
            ratio = effect.log_likelihood_ratio
            ratios[site.position - region.start, DNA.bases.index(alt)] = ratio
    return ratios


def _estimated(
    model: LanguageModel,
    reference: Reference,
    region: Interval,
    window: int,
    both_strands: bool,
    gaps_of: Callable[[Interval], Gaps] | None,
) -> Float64[np.ndarray, "length 4"]:
    """Estimate window by window, each in a batch of its own, so that no bit depends on others."""
    n_contig = reference.lengths[region.contig]
    found = list(gradient_windows(region, contig_length=n_contig, window=window))
    ends = [*(each.first for each in found[1:]), region.end]
    pieces: list[np.ndarray] = []
    with _without_gradients_of_weights(model):
        for each, end in zip(found, ends, strict=True):
            place = Interval(region.contig, each.start, each.end)
            tokens, gaps = _tokens(reference, place), gaps_of(place) if gaps_of else ()
            ratios = _first_order(model, tokens, gaps)
            if both_strands:
                turned = _first_order(model, DNA_VOCABULARY.reverse_complement(tokens), gaps)
                # Reversing positions and columns undoes the complement: T G C A is A C G T reversed
                ratios = (ratios + turned[::-1, ::-1]) / 2
            pieces.append(ratios[each.first - each.start : end - each.start])
    return np.concatenate(pieces)


def _first_order(
    model: LanguageModel, tokens: TokenArray, gaps: Gaps
) -> Float64[np.ndarray, "length 4"]:
    """Apply Eq. mutagenesis-gradient to one window, read from left to right."""
    bases = DNA_VOCABULARY.to_bases(tokens)
    is_base = bases < len(DNA.bases)
    if is_mostly_n(tokens):
        return np.full((len(tokens), len(DNA.bases)), np.nan)
    weight = model.backbone.embedding.weight
    letters = functional.one_hot(torch.from_numpy(bases.astype(np.int64)), len(DNA.bases) + 1)
    with torch.enable_grad():  # the fifth class, N, is dropped: a row of zeros is read as N
        rows = letters[:, :-1].T[None].to(weight).requires_grad_()
        (gradient,) = torch.autograd.grad(OneHotModel(model, gaps=gaps)(rows).sum(), rows)
    slopes = gradient[0].T.double().cpu().numpy()
    if not np.isfinite(slopes).all():
        raise WorkError("the model's gradient is NaN or infinite: its weights have diverged")
    own = slopes[np.arange(len(slopes)), np.where(is_base, bases, 0)]
    return slopes - own[:, None]


@contextmanager
def _without_gradients_of_weights(model: LanguageModel) -> Generator[None]:
    """Disable gradients of the weights, because only that of the input is used."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
