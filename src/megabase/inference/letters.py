"""Letters in, plain values out: what a script asks of a loaded model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from megabase.errors import InputError
from megabase.genome.alphabet import DNA
from megabase.genome.gc_range import GcRange
from megabase.genome.interval import Interval
from megabase.genome.motif import Motifs
from megabase.genome.reference import MemoryReference, Reference
from megabase.genome.site import Site
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.generation_request import check_request, constraint_of
from megabase.inference.pooling import Pooling
from megabase.inference.predictor import Predictor
from megabase.inference.sampling import Sampling
from megabase.inference.sequence_score import SequenceScore, sequence_score
from megabase.inference.strands import strands_of
from megabase.inference.variant_effect import VariantEffect, choose_window

load = Predictor.load
"""Load a model by folder, file or hub id, as `Predictor.load`."""


def score_sequences(
    model: Predictor,
    sequences: Iterable[str],
    *,
    stride: int | None = None,
    strand: str = "forward",
) -> list[SequenceScore]:
    """Score each sequence: the log-likelihood of each base and of all, in nats.

    Parameters
    ----------
    model
        What `load` gives.
    sequences
        Letters of each, in either case; N and other ambiguous letters have no score.
    stride
        Bases from window to window where a sequence is longer than the context, as of
        `likelihood.long_log_likelihoods`; None: such a sequence is an error.
    strand
        ``forward``, or ``average``: each base gets the mean of both strands.

    Raises
    ------
    InputError
        If a sequence is empty, too long or no DNA, or an option is none.
    """
    found = model.log_likelihoods(
        _encoded(sequences, longest=model.context_length if stride is None else None),
        stride=stride,
        strand=strand,
    )
    return [sequence_score(values) for values in found]


def score_variants(
    model: Predictor,
    genome: Reference | Mapping[str, str],
    variants: Iterable[tuple[str, int, str, str]],
    *,
    window: int | None = None,
    strand: str = "average",
) -> list[VariantEffect]:
    """Score each variant: the log-likelihood ratio of its alternative allele, in nats.

    Parameters
    ----------
    model
        What `load` gives.
    genome
        What `open_genome` gives, or the letters of each contig by its name.
    variants
        Contig, 0-based position, reference and alternative allele of each: a position of a
        VCF file, less 1.
    window
        Bases of a window; None: as `variant_effect.choose_window`.
    strand
        ``average`` of both strands, or ``forward``.

    Raises
    ------
    InputError
        If an option is not valid. A variant whose contig or reference allele is not that of the
        genome, or that has no score for another reason, says so in `skip_reason`.
    """
    sites = (Site(contig, position, ref, (alt,)) for contig, position, ref, alt in variants)
    effects = model.score_variants(
        _reference(genome),
        sites,
        window=choose_window(window, model.context_length),
        both_strands=len(strands_of(strand)) == 2,
    )
    return [effect for (effect,) in effects]


def saturation_mutagenesis(
    model: Predictor,
    genome: Reference | Mapping[str, str],
    region: Interval,
    *,
    window: int | None = None,
    mode: str = "exact",
    strand: str = "average",
) -> Float64[np.ndarray, "length 4"]:
    """Change every base of a region to every other: log-likelihood ratios, in nats.

    Parameters
    ----------
    model
        What `load` gives.
    genome, window, strand
        As of `score_variants`.
    region
        The bases to change, of the forward strand.
    mode
        ``exact``: the scores of `score_variants`; ``gradient``: estimates of them, much faster.

    Returns
    -------
    ratios
        Of A, C, G, T in the place of each base, 0 for the base that stands there and NaN where
        that is N: as `mutagenesis.saturation_mutagenesis`.

    Raises
    ------
    InputError
        If the region lies beyond its contig, or an option is none.
    """
    return model.saturation_mutagenesis(
        _reference(genome),
        region,
        window=choose_window(window, model.context_length),
        mode=mode,
        both_strands=len(strands_of(strand)) == 2,
    )


def embed(
    model: Predictor,
    sequences: Iterable[str],
    *,
    layer: int | None = None,
    pooling: str = "mean",
    strand: str = "average",
    stride: int | None = None,
) -> list[Float32[np.ndarray, "..."]]:
    """Embed each sequence: a vector, or a row for each base or window.

    Parameters
    ----------
    model
        What `load` gives.
    sequences
        Letters of each, in either case.
    layer
        0 for the embedding of the letters, up to the number of blocks; None: the last.
    pooling
        ``mean``, ``max``, ``last``, ``centre``: (channel,); ``none``: (length, channel);
        ``window:W``, the means of W bases: (window, channel).
    strand
        ``average`` of both strands; ``forward``; or ``both``, side by side.
    stride
        As of `score_sequences`.

    Raises
    ------
    InputError
        If a sequence is empty, too long or no DNA, or an option is none.
    """
    found = model.embed(
        _encoded(sequences),
        layer=layer,
        pooling=Pooling.from_text(pooling),
        strand=strand,
        stride=stride,
    )
    return list(found)


class GeneratedSequence(NamedTuple):
    """The letters that were added to a prompt, and their log-likelihood in nats."""

    letters: str
    log_likelihood: float


def generate(
    model: Predictor,
    prompts: Sequence[str],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int = len(DNA.bases),
    top_p: float = 1.0,
    seed: int = 0,
    template: str | None = None,
    forbid: Sequence[str] = (),
    gc: str | None = None,
) -> list[GeneratedSequence]:
    """Continue each prompt by `length` bases, as `generate.generate`.

    Parameters
    ----------
    model
        What `load` gives.
    prompts
        Letters of each; ``[""] * 10`` makes ten sequences from nothing.
    length
        Bases to add to each.
    temperature, top_k, top_p
        As of `sampling.Sampling`.
    seed
        Of all random numbers; the same seed gives the same sequences.
    template
        `length` letters: bases that are fixed, N where free.
    forbid
        Motifs of IUPAC letters that no base may complete, on either strand.
    gc
        The fraction of the new bases that is G or C, as ``0.4-0.6``; None: any.

    Raises
    ------
    InputError
        If a prompt or template has other letters than A C G T N, prompt and length exceed the
        context, an option is none, or no sequence is as it shall be.
    """
    if isinstance(forbid, str):
        raise InputError(f"expected a list of motifs, got one text; give [{forbid!r}]")
    sampling = Sampling(temperature, top_k, top_p)
    tokens = list(_encoded(prompts, what="prompt"))
    fixed = None if template is None else _encode_certain(template, "the template")
    check_request(tokens, length, context_length=model.context_length, template=fixed, seed=seed)
    constraint = constraint_of(
        tokens,
        length,
        motifs=Motifs(forbid),
        gc=None if gc is None else GcRange.from_text(gc),
        template=fixed,
    )
    plan = model.plan_generation(
        prompt_length=max(map(len, tokens)),
        length=length,
        n_sequences=len(tokens),
    )
    made: list[GeneratedSequence] = []
    for start in range(0, len(tokens), plan.at_once):
        beside = tokens[start : start + plan.at_once]
        numbers = [(start + place,) for place in range(len(beside))]
        found = model.generate(
            beside, length, sampling=sampling, seed=seed, numbers=numbers,
            template=None if constraint else fixed, constraint=constraint,
        )  # fmt: skip
        made += [
            GeneratedSequence(DNA_VOCABULARY.decode(each.tokens), each.log_likelihood)
            for each in found
        ]
    return made


def _reference(genome: Reference | Mapping[str, str]) -> Reference:
    return MemoryReference(genome) if isinstance(genome, Mapping) else genome


def _encoded(
    sequences: Iterable[str], *, what: str = "sequence", longest: int | None = None
) -> Iterator[TokenArray]:
    """Encode letters; an InputError that tells the place of what cannot be."""
    if isinstance(sequences, str):
        raise InputError(f"expected a list of {what}s, got one text; give [text]")
    for index, letters in enumerate(sequences):
        name = f"{what} {index} (counted from 0)"
        if not letters and what == "sequence":
            raise InputError(f"{name} has no letters; leave it out")
        if longest is not None and len(letters) > longest:
            raise InputError(
                f"{name} has {len(letters):,} bp, and the model reads at most {longest:,} at once; "
                "give a stride to read it in windows that overlap"
            )
        if what == "prompt":
            yield _encode_certain(letters, name)
        else:
            yield DNA_VOCABULARY.encode(letters, name=name).tokens


def _encode_certain(letters: str, name: str) -> TokenArray:
    """Encode A C G T N; an InputError at a letter for some of the bases, which N would widen."""
    found = DNA_VOCABULARY.encode(letters, name=name)
    if found.n_ambiguous:
        raise InputError(
            f"{name} has {found.n_ambiguous:,} letters other than A C G T N; replace them, by N "
            "if any base will do"
        )
    return found.tokens
