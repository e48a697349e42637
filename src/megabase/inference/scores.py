r"""Scores of whole sequences, and the effects of variants.

The effect of a variant: the log-likelihood of its alternative minus its reference allele.

.. math:: \mathrm{LLR} = \ln p(x^{\mathrm{alt}}) - \ln p(x^{\mathrm{ref}})
   :label: log-likelihood-ratio

for the windows :math:`x` of `genome.variant`. They are equally long, so the length of
an allele alone does not change the score. The bases before the allele are the same in both
windows and have the same likelihood, because the model is causal; they are taken from one
pass. The reverse strand is read in its own direction, so the bases after a variant precede it
there.

How far the allele moves the hidden states, whether it is likely or not, is the distance

.. math:: D = \left\lVert \frac1n \sum_t h_t^{\mathrm{alt}}
              - \frac1n \sum_t h_t^{\mathrm{ref}} \right\rVert_2
   :label: embedding-distance

of the same windows of n tokens, with the last hidden states h, normalised, of the same pass.
Both are averaged over strands.

Windows with the same letters are scored once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.variant import AlleleWindows, Site, allele_windows
from megabase.genome.vocabulary import BASES_OF, DNA, DNA_VOCABULARY, TokenArray


class SequenceScore(NamedTuple):
    """The likelihood of a sequence under a model.

    Parameters
    ----------
    log_likelihood
        Sum over all bases except N, in nats.
    bits_per_base
        Negative log-likelihood in bits, divided by `n_scored`; NaN if no base was scored.
    n_scored
        Number of scored bases: all except N.
    per_base
        The log-likelihood of each base in nats; NaN where it is N.
    """

    log_likelihood: float
    bits_per_base: float
    n_scored: int
    per_base: Float32[np.ndarray, " length"]


def sequence_score(values: Float32[np.ndarray, " length"]) -> SequenceScore:
    """Sum the log-likelihoods (nats, NaN at N) of the bases of a sequence."""
    n_scored = int(np.count_nonzero(~np.isnan(values)))
    total = float(np.nansum(values, dtype=np.float64))
    bits = -total / (n_scored * math.log(2)) if n_scored else math.nan
    return SequenceScore(total, bits, n_scored, values)


DEFAULT_WINDOW = 1024
"""Default bases of a window, unless the context of the model is shorter."""

SKIP_REASONS: Mapping[str, str] = {
    "star": "the allele is *, a deletion that another record describes",
    "symbolic": "the allele is not a sequence but <...>, a breakend, or missing",
    "ambiguous": "an allele has letters other than A C G T",
    "same": "the allele equals the reference allele",
    "no_contig": "the genome has no contig of this name",
    "outside": "REF does not lie within the contig, or POS is not a whole number",
    "ref_mismatch": "REF differs from the genome at this position",
    "too_long": "an allele is longer than half a window",
    "mostly_n": "more than half of a window is N",
}
"""Why an allele has no score, and what each reason means."""

_FIRST_BASES = str.maketrans({code: min(BASES_OF[code]) for code in DNA.ambiguous})


class VariantEffect(NamedTuple):
    """The effect of one alternative allele.

    Parameters
    ----------
    log_likelihood_ratio
        Alternative minus reference, in nats, summed over each window; NaN if skipped.
    per_base
        The same for the mean over the bases of each window.
    flank
        The same for the bases after the allele that both windows contain.
    is_at_edge
        Whether the end of the contig moved or shortened a window, or the two windows have
        different numbers of N, which are not scored. `per_base` is then the better comparison.
    skip_reason
        Why there is no score: a key of `SKIP_REASONS`, or empty.
    distance
        Eq. embedding-distance, averaged over strands; NaN if skipped or not requested.
    """

    log_likelihood_ratio: float
    per_base: float
    flank: float
    is_at_edge: bool
    skip_reason: str
    distance: float = math.nan


class _Strand(NamedTuple):
    """A site on one strand: the letters around it, and its position on that strand."""

    before: str
    ref: str
    after: str
    position: int
    contig_length: int


class _Pair(NamedTuple):
    """The tokens of the two windows of an allele on one strand."""

    ref: UInt8[np.ndarray, " length"]
    alt: UInt8[np.ndarray, " length"]
    windows: AlleleWindows


class WindowAnswer(NamedTuple):
    """Log-likelihoods (nats) and mean hidden state of a window; the latter may be a single NaN."""

    log_likelihoods: Float64[np.ndarray, " length"]
    embedding: Float64[np.ndarray, " d_model"]


class VariantRequest(NamedTuple):
    """The windows of an allele, a pair for each strand, or the reason why it is skipped.

    Parameters
    ----------
    pairs
        The windows.
    place
        The bases of the genome that are in one of the windows, on the forward strand; None if the
        allele is skipped.
    skip_reason
        A key of `SKIP_REASONS`, or empty.
    """

    pairs: tuple[_Pair, ...]
    place: Interval | None
    skip_reason: str = ""


class AlleleTokens(NamedTuple):
    """Token ids of both windows of an allele on the forward strand, or the reason to skip it.

    `place` holds the bases of the genome that are in one of the windows; None if it is skipped.
    """

    ref: TokenArray | None
    alt: TokenArray | None
    place: Interval | None
    skip_reason: str


def allele_tokens(reference: Reference, site: Site, window: int) -> list[AlleleTokens]:
    """Return the two windows of each alternative allele of a site.

    Parameters
    ----------
    reference
        The genome.
    site
        A site and its alleles.
    window
        Bases of a window.
    """
    requests = requests_of(reference, site, window, both_strands=False)
    return [
        AlleleTokens(None, None, request.place, request.skip_reason)
        if request.skip_reason
        else AlleleTokens(request.pairs[0].ref, request.pairs[0].alt, request.place, "")
        for request in requests
    ]


def choose_window(window: int | None, context_length: int) -> int:
    """Return the requested window in bases; None: the lesser of context and `DEFAULT_WINDOW`.

    Raises
    ------
    InputError
        If the window is below 2 or exceeds the context.
    """
    chosen = min(context_length, DEFAULT_WINDOW) if window is None else window
    check_window(chosen, context_length)
    return chosen


def check_window(window: int, context_length: int) -> None:
    """Raise an InputError unless the window has from 2 bases to the context of the model."""
    if not 2 <= window <= context_length:
        raise InputError(
            f"a window must have from 2 bases to the model's context of {context_length:,}; "
            f"got {window:,}"
        )


def lies_within(reference: Reference, site: Site) -> bool:
    """Return whether the reference allele of a site lies within a contig of the genome.

    VCF has positions just before and after a contig, for breakends and telomeres.
    """
    last = reference.lengths.get(site.contig, 0) - len(site.ref)
    return bool(site.ref) and 0 <= site.position <= last


def has_reference_allele(reference: Reference, site: Site) -> bool:
    """Return whether the genome has the letters of `site.ref` at its position, ignoring case.

    REF cannot hold ambiguity codes other than N. An ambiguity code of the genome therefore
    matches the first of its bases in alphabetical order, such as A for R.

    Raises
    ------
    InputError
        If the site extends beyond its contig.

    Source
    ------
    The Variant Call Format Specification, VCFv4.3, section 1.6.1, REF.
    """
    place = Interval(site.contig, site.position, site.position + len(site.ref))
    found, ref = reference.fetch(place).upper(), site.ref.upper()
    pairs = zip(ref, found, found.translate(_FIRST_BASES), strict=True)
    return ref == found or all(letter in (as_is, first) for letter, as_is, first in pairs)


def requests_of(
    reference: Reference, site: Site, window: int, both_strands: bool
) -> list[VariantRequest]:
    """Return the windows of every alternative allele of a site, or why it is skipped.

    Parameters
    ----------
    reference
        The genome.
    site
        A site and its alleles.
    window
        Bases of a window.
    both_strands
        Whether to include the windows of the reverse strand.
    """
    strands: list[_Strand] = []
    reasons = [_reason_of_letters(site.ref, alt) for alt in site.alts]
    if not all(reasons) and (of_place := _reason_of_place(reference, site)):
        reasons = [reason or of_place for reason in reasons]
    if not all(reasons):
        forward = _around(reference, site, window)
        strands = [forward, _turned(forward)] if both_strands else [forward]
    return [
        VariantRequest((), None, reason) if reason else _request(site, strands, alt.upper(), window)
        for alt, reason in zip(site.alts, reasons, strict=True)
    ]


def _place(site: Site, pairs: Sequence[_Pair]) -> Interval:
    """Return the bases of a site, and those of its windows; the second pair is of strand "-"."""
    start, end = site.position, site.position + len(site.ref)
    for is_reverse, pair in enumerate(pairs):
        windows = pair.windows
        before = max(windows.before_ref, windows.before_alt)
        after = max(windows.after_ref, windows.after_alt)
        left, right = (after, before) if is_reverse else (before, after)
        start = min(start, site.position - left)
        end = max(end, site.position + len(site.ref) + right)
    return Interval(site.contig, max(0, start), end)


def _reason_of_place(reference: Reference, site: Site) -> str:
    """Return why the reference allele of a site is not in the genome; empty if it is."""
    if site.contig not in reference.lengths:
        return "no_contig"
    if not lies_within(reference, site):
        return "outside"
    return "" if has_reference_allele(reference, site) else "ref_mismatch"


def _reason_of_letters(ref: str, alt: str) -> str:
    """Return why the letters of an allele prevent a score; empty if they do not."""
    if alt == "*":
        return "star"
    if not alt.isalpha():
        return "symbolic"
    if not set(ref.upper() + alt.upper()) <= set(DNA.bases):
        return "ambiguous"
    return "same" if ref.upper() == alt.upper() else ""


def _around(reference: Reference, site: Site, window: int) -> _Strand:
    """Fetch all letters that a window may contain; raise an InputError if one is not DNA."""
    n_contig = reference.lengths[site.contig]
    end = site.position + len(site.ref)
    start = max(0, site.position - window)
    letters = reference.fetch(Interval(site.contig, start, min(n_contig, end + window)))
    DNA_VOCABULARY.encode(letters, name=f"{site.contig} of {reference.name}", start=start)
    before, after = letters[: site.position - start], letters[end - start :]
    return _Strand(before, site.ref.upper(), after, site.position, n_contig)


def _turned(strand: _Strand) -> _Strand:
    """Return the same site on the reverse strand."""
    return _Strand(
        before=DNA.reverse_complement(strand.after),
        ref=DNA.reverse_complement(strand.ref),
        after=DNA.reverse_complement(strand.before),
        position=strand.contig_length - strand.position - len(strand.ref),
        contig_length=strand.contig_length,
    )


def _request(site: Site, strands: Sequence[_Strand], alt: str, window: int) -> VariantRequest:
    alts = (alt, DNA.reverse_complement(alt))
    pairs = [_pair(strand, letters, window) for strand, letters in zip(strands, alts, strict=False)]
    whole = tuple(pair for pair in pairs if pair is not None)
    if len(whole) < len(pairs):
        return VariantRequest((), None, "too_long")
    if any(is_mostly_n(tokens) for pair in whole for tokens in (pair.ref, pair.alt)):
        return VariantRequest((), None, "mostly_n")
    return VariantRequest(whole, _place(site, whole))


def _pair(strand: _Strand, alt: str, window: int) -> _Pair | None:
    """Encode the windows of both alleles; None if an allele does not fit."""
    windows = allele_windows(
        contig_length=strand.contig_length,
        position=strand.position,
        n_ref=len(strand.ref),
        n_alt=len(alt),
        window=window,
    )
    if windows is None:
        return None
    n = len(strand.before)
    ref = strand.before[n - windows.before_ref :] + strand.ref + strand.after[: windows.after_ref]
    changed = strand.before[n - windows.before_alt :] + alt + strand.after[: windows.after_alt]
    encode = DNA_VOCABULARY.encode
    return _Pair(encode(ref).tokens, encode(changed).tokens, windows)


def is_mostly_n(tokens: TokenArray) -> bool:
    """Return whether more than half of a window is N."""
    return 2 * _n_unknown(tokens) > len(tokens)


def _n_unknown(tokens: TokenArray) -> int:
    return int(np.count_nonzero(tokens == DNA_VOCABULARY.unknown_id))


def effect_of(
    request: VariantRequest, answer_of: Callable[[TokenArray], WindowAnswer]
) -> VariantEffect:
    """Compute the effect of an allele, averaged over strands.

    Parameters
    ----------
    request
        The windows of the allele.
    answer_of
        Returns the results for a window of the request.
    """
    if request.skip_reason:
        return VariantEffect(np.nan, np.nan, np.nan, False, request.skip_reason)
    each = [
        _compare(answer_of(pair.ref), answer_of(pair.alt), pair.windows) for pair in request.pairs
    ]
    ratio, per_base, flank, distance = np.mean(each, axis=0).tolist()
    is_at_edge = any(
        pair.windows.is_at_edge or _n_unknown(pair.ref) != _n_unknown(pair.alt)
        for pair in request.pairs
    )
    effect = VariantEffect(ratio, per_base, flank, is_at_edge, "")
    return effect if math.isnan(distance) else effect._replace(distance=distance)


def _compare(
    of_ref: WindowAnswer, of_alt: WindowAnswer, windows: AlleleWindows
) -> tuple[float, float, float, float]:
    """Compute Eq. log-likelihood-ratio of sums, means and flanks, and Eq. embedding-distance."""
    ref, alt = of_ref.log_likelihoods, of_alt.log_likelihoods
    if windows.before_ref == windows.before_alt:
        # The shared prefix has equal values up to rounding; using one copy cancels it exactly.
        alt = np.concatenate([ref[: windows.before_ref], alt[windows.before_alt :]])
    n = windows.n_shared_after  # the flank starts after the allele, at a different index in each
    flanks = [
        np.nansum(values[len(values) - after :][:n])
        for values, after in ((alt, windows.after_alt), (ref, windows.after_ref))
    ]
    return (
        float(np.nansum(alt) - np.nansum(ref)),
        float(np.nanmean(alt) - np.nanmean(ref)),
        float(flanks[0] - flanks[1]),
        float(np.linalg.norm(of_alt.embedding - of_ref.embedding)),
    )
