r"""The effect of a variant: the log-likelihood of its alternative allele against the reference.

.. math:: \mathrm{LLR} = \ln p(x^{\mathrm{alt}}) - \ln p(x^{\mathrm{ref}})
   :label: log-likelihood-ratio

for the windows :math:`x` of `genome.variant_window`, equally long, so that the length of
an allele alone moves no score. The bases before the allele, which both windows share,
have the same likelihood in both, for the model looks backwards only; they are taken from
one pass. The other strand is read as if the genome had been written on it: what lies
after a variant comes before it there.

How far the allele moves what the model sees, whether likely or not, is the distance

.. math:: D = \left\lVert \frac1n \sum_t h_t^{\mathrm{alt}}
              - \frac1n \sum_t h_t^{\mathrm{ref}} \right\rVert_2
   :label: embedding-distance

of the same windows of n tokens, with the last hidden states h, normed, of the same pass.
Over strands both are averaged.

A window is scored by itself, never beside others, so that neither neighbours nor order
change a bit of its score; windows with the same letters are scored once.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from megabase.errors import InputError
from megabase.genome.alphabet import BASES_OF, DNA
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.site import Site
from megabase.genome.variant_window import AlleleWindows, allele_windows
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray

DEFAULT_WINDOW = 1024
"""Bases of a window, unless told otherwise or the model reads less."""

SKIP_REASONS: Mapping[str, str] = {
    "star": "the allele is *, a deletion that another record describes",
    "symbolic": "the allele is no sequence: <...>, a breakend, or missing",
    "ambiguous": "an allele has letters other than A C G T",
    "same": "the allele is the reference allele",
    "no_contig": "the genome has no contig of this name",
    "outside": "REF does not lie within the contig, or POS is not a whole number",
    "ref_mismatch": "the genome has other letters than REF there",
    "too_long": "an allele is longer than half a window",
    "mostly_n": "more than half of a window is N",
}
"""Why an allele has no score, and what each reason means."""

_FIRST_BASES = str.maketrans({code: min(BASES_OF[code]) for code in DNA.ambiguous})


class VariantEffect(NamedTuple):
    """What the model makes of one alternative allele.

    Parameters
    ----------
    log_likelihood_ratio
        Nats, alternative minus reference, over the whole windows; NaN where skipped.
    per_base
        The same of the means over the bases of each window.
    flank
        The same of those bases after the allele alone that both windows hold.
    is_at_edge
        Whether an end of the contig moved or shortened a window, or the two windows hold unlike
        numbers of N, which have no likelihood: then `per_base` compares better.
    skip_reason
        A key of `SKIP_REASONS`, or empty.
    distance
        Eq. embedding-distance, the mean over strands; NaN where skipped or not asked for.
    """

    log_likelihood_ratio: float
    per_base: float
    flank: float
    is_at_edge: bool
    skip_reason: str
    distance: float = math.nan


class _Strand(NamedTuple):
    """A site as one strand reads it: the letters around, and its place on the contig."""

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
    """What the model makes of a window; an embedding of no numbers if none is asked for."""

    log_likelihoods: Float64[np.ndarray, " length"]
    embedding: Float64[np.ndarray, " d_model"]


class VariantRequest(NamedTuple):
    """What is to be scored of an allele: a pair on each strand, or why not."""

    pairs: tuple[_Pair, ...]
    skip_reason: str


class AlleleTokens(NamedTuple):
    """The tokens of the windows of both alleles as the forward strand reads them, or why not."""

    ref: TokenArray | None
    alt: TokenArray | None
    skip_reason: str


def allele_tokens(reference: Reference, site: Site, window: int) -> list[AlleleTokens]:
    """Give the two windows of each alternative allele of a site.

    Parameters
    ----------
    reference
        The genome.
    site
        A variant by place.
    window
        Bases of a window.
    """
    requests = requests_of(reference, site, window, both_strands=False)
    return [
        AlleleTokens(None, None, request.skip_reason)
        if request.skip_reason
        else AlleleTokens(request.pairs[0].ref, request.pairs[0].alt, "")
        for request in requests
    ]


def choose_window(window: int | None, context_length: int) -> int:
    """Give the window that was asked for; None: the lesser of context and `DEFAULT_WINDOW`.

    Raises
    ------
    InputError
        As of `check_window`.
    """
    chosen = min(context_length, DEFAULT_WINDOW) if window is None else window
    check_window(chosen, context_length)
    return chosen


def check_window(window: int, context_length: int) -> None:
    """Raise an InputError unless a window has 2 bases, and the model reads all of it."""
    if not 2 <= window <= context_length:
        raise InputError(
            f"a window has from 2 bases to the model's context of {context_length:,}; "
            f"got {window:,}"
        )


def lies_within(reference: Reference, site: Site) -> bool:
    """Whether the genome has the contig of a site, and the whole of its reference allele.

    VCF has places just before and after a contig, for breakends and telomeres.
    """
    last = reference.lengths.get(site.contig, 0) - len(site.ref)
    return bool(site.ref) and 0 <= site.position <= last


def has_reference_allele(reference: Reference, site: Site) -> bool:
    """Whether the genome has the letters of `site.ref` at its place, in either case.

    An ambiguity code of the genome, which REF cannot hold, may stand in REF as the first of its
    bases in alphabetical order: R as A. N stays N.

    Raises
    ------
    InputError
        If the site lies beyond its contig.

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
    """Lay the windows of every alternative allele of a site."""
    strands: list[_Strand] = []
    reasons = [_reason_of_letters(site.ref, alt) for alt in site.alts]
    if not all(reasons) and (of_place := _reason_of_place(reference, site)):
        reasons = [reason or of_place for reason in reasons]
    if not all(reasons):
        forward = _around(reference, site, window)
        strands = [forward, _turned(forward)] if both_strands else [forward]
    return [
        VariantRequest((), reason) if reason else _request(strands, alt.upper(), window)
        for alt, reason in zip(site.alts, reasons, strict=True)
    ]


def _reason_of_place(reference: Reference, site: Site) -> str:
    """Return why the reference allele of a site is not in the genome; nothing if it is."""
    if site.contig not in reference.lengths:
        return "no_contig"
    if not lies_within(reference, site):
        return "outside"
    return "" if has_reference_allele(reference, site) else "ref_mismatch"


def _reason_of_letters(ref: str, alt: str) -> str:
    """Say why an allele cannot be scored, as far as its letters tell."""
    if alt == "*":
        return "star"
    if not alt.isalpha():
        return "symbolic"
    if not set(ref.upper() + alt.upper()) <= set(DNA.bases):
        return "ambiguous"
    return "same" if ref.upper() == alt.upper() else ""


def _around(reference: Reference, site: Site, window: int) -> _Strand:
    """Fetch all letters that a window of the site may hold; an InputError if one is none."""
    n_contig = reference.lengths[site.contig]
    end = site.position + len(site.ref)
    start = max(0, site.position - window)
    letters = reference.fetch(Interval(site.contig, start, min(n_contig, end + window)))
    DNA_VOCABULARY.encode(letters, name=f"{site.contig} of {reference.name}", start=start)
    before, after = letters[: site.position - start], letters[end - start :]
    return _Strand(before, site.ref.upper(), after, site.position, n_contig)


def _turned(strand: _Strand) -> _Strand:
    """Give the same site as the other strand reads it."""
    return _Strand(
        before=DNA.reverse_complement(strand.after),
        ref=DNA.reverse_complement(strand.ref),
        after=DNA.reverse_complement(strand.before),
        position=strand.contig_length - strand.position - len(strand.ref),
        contig_length=strand.contig_length,
    )


def _request(strands: Sequence[_Strand], alt: str, window: int) -> VariantRequest:
    alts = (alt, DNA.reverse_complement(alt))
    pairs = [_pair(strand, letters, window) for strand, letters in zip(strands, alts, strict=False)]
    whole = tuple(pair for pair in pairs if pair is not None)
    if len(whole) < len(pairs):
        return VariantRequest((), "too_long")
    if any(is_mostly_n(tokens) for pair in whole for tokens in (pair.ref, pair.alt)):
        return VariantRequest((), "mostly_n")
    return VariantRequest(whole, "")


def _pair(strand: _Strand, alt: str, window: int) -> _Pair | None:
    """Encode the windows of both alleles; None where an allele does not fit."""
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
    """Whether more than half of a window is N."""
    return 2 * _n_unknown(tokens) > len(tokens)


def _n_unknown(tokens: TokenArray) -> int:
    return int(np.count_nonzero(tokens == DNA_VOCABULARY.unknown_id))


def effect_of(request: VariantRequest, answers: Mapping[bytes, WindowAnswer]) -> VariantEffect:
    """Average an allele over its strands."""
    if request.skip_reason:
        return VariantEffect(np.nan, np.nan, np.nan, False, request.skip_reason)
    each = [
        _compare(answers[pair.ref.tobytes()], answers[pair.alt.tobytes()], pair.windows)
        for pair in request.pairs
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
    """Apply Eq. log-likelihood-ratio to the window, to its mean base, and to what follows.

    The last is Eq. embedding-distance.
    """
    ref, alt = of_ref.log_likelihoods, of_alt.log_likelihoods
    if windows.before_ref == windows.before_alt:
        alt = np.concatenate([ref[: windows.before_ref], alt[windows.before_alt :]])
    n = windows.n_shared_after
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
