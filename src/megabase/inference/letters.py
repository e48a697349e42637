"""The Python interface to a loaded model: letters in, plain values out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from megabase.errors import InputError
from megabase.genome.constraint import GcRange, Motifs
from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference, Reference
from megabase.genome.variant import Site
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY, TokenArray
from megabase.inference.choices import Pooling, strands_of
from megabase.inference.predictor import Predictor
from megabase.inference.sampling import Sampling, check_request, constraint_of
from megabase.inference.scores import SequenceScore, VariantEffect, choose_window, sequence_score

load = Predictor.load
"""Load a model from a folder, a file or a hub id; see `Predictor.load`."""


def score_sequences(
    model: Predictor,
    sequences: Iterable[str],
    *,
    stride: int | None = None,
    strand: str = "forward",
) -> list[SequenceScore]:
    """Score each sequence: the log-likelihood of each base and their sum, in nats.

    Parameters
    ----------
    model
        A model returned by `load`.
    sequences
        Letters of each sequence, in upper or lower case; N and other ambiguous letters have
        no score.
    stride
        Bases between the starts of overlapping windows, for a sequence longer than the context;
        each base is scored in the first window that reads it. None: such a sequence is an error.
    strand
        ``forward``, or ``average``: each base gets the mean of both strands.

    Raises
    ------
    InputError
        If a sequence is empty, too long or not DNA, or an option is invalid.
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
        A model returned by `load`.
    genome
        A genome returned by `open_genome`, or the letters of each contig by name.
    variants
        Contig, 0-based position (POS of a VCF file minus 1), reference allele and alternative
        allele of each variant.
    window
        Bases of a window; None: 1,024, or the context if that is shorter.
    strand
        ``average`` of both strands, or ``forward``.

    Returns
    -------
    effects
        One for each variant, alternative minus reference. A variant without a score, for example
        because its reference allele differs from the genome, has the reason in `skip_reason`.

    Raises
    ------
    InputError
        If an option is invalid.
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
    """Compute the log-likelihood ratio, in nats, of every substitution in a region.

    Parameters
    ----------
    model
        A model returned by `load`.
    genome
        A genome returned by `open_genome`, or the letters of each contig by name.
    region
        The bases to change, on the forward strand.
    window
        Bases of a window; None: 1,024, or the context if that is shorter.
    mode
        ``exact``: the scores of `score_variants`; ``gradient``: estimates of them, much faster.
    strand
        ``average`` of both strands, or ``forward``.

    Returns
    -------
    ratios
        For each base, the ratios of A, C, G and T, alternative minus reference: 0 for the base
        of the genome, and NaN if that is N.

    Raises
    ------
    InputError
        If the region extends beyond its contig, or an option is invalid.
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
    """Embed each sequence as a vector, or as a row for each base or window.

    Parameters
    ----------
    model
        A model returned by `load`.
    sequences
        Letters of each sequence, in upper or lower case.
    layer
        0 for the embedding of the letters, k for the output of block k; None: the last layer.
    pooling
        ``mean``, ``max``, ``last``, ``centre``: (channel,); ``none``: (length, channel);
        ``window:W``, the means of W bases: (window, channel).
    strand
        ``average`` of both strands; ``forward``; or ``both``: the channels of both strands,
        one after the other.
    stride
        Bases between the starts of windows, for a sequence longer than the context; None:
        such a sequence is an error.

    Raises
    ------
    InputError
        If a sequence is empty, too long or not DNA, or an option is invalid.
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
    """Continue each prompt by `length` bases.

    Parameters
    ----------
    model
        A model returned by `load`.
    prompts
        Letters of each prompt; ``[""] * 10`` generates ten sequences from nothing.
    length
        Bases to add to each prompt.
    temperature
        Divides the log-probabilities; below 1 likely bases become likelier.
    top_k
        Draw only from the `top_k` likeliest bases; 1 always takes the likeliest.
    top_p
        Draw only from the fewest likeliest bases that together reach this probability.
    seed
        Seed of all random numbers; the same seed gives the same sequences.
    template
        `length` letters: bases that are fixed, or N where a base is to be drawn.
    forbid
        Motifs of IUPAC letters that the new bases must not complete, on either strand.
    gc
        Range of the fraction of G and C in the new bases, such as ``0.4-0.6``; None: any.

    Raises
    ------
    InputError
        If a prompt or the template has letters other than A C G T N, prompt and length exceed
        the context, an option is invalid, or no sequence meets the constraints.
    """
    if isinstance(forbid, str):
        raise InputError(f"expected a list of motifs, got a str; write [{forbid!r}]")
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
    """Yield the tokens of each sequence; raise an InputError that states where letters are invalid.

    Prompts may be empty, and may not have ambiguous letters other than N.
    """
    if isinstance(sequences, str):
        raise InputError(f"expected a list of {what}s, got a str; write [text]")
    for index, letters in enumerate(sequences):
        name = f"{what} {index} (counted from 0)"
        if not letters and what == "sequence":
            raise InputError(f"{name} has no letters; leave it out")
        if longest is not None and len(letters) > longest:
            raise InputError(
                f"{name} has {len(letters):,} bp, and the model reads at most {longest:,} at once; "
                "give a stride to read it in overlapping windows"
            )
        if what == "prompt":
            yield _encode_certain(letters, name)
        else:
            yield DNA_VOCABULARY.encode(letters, name=name).tokens


def _encode_certain(letters: str, name: str) -> TokenArray:
    """Encode A C G T N; raise an InputError at other IUPAC letters, for which N is too general."""
    found = DNA_VOCABULARY.encode(letters, name=name)
    if found.n_ambiguous:
        raise InputError(
            f"{name} has {found.n_ambiguous:,} letters other than A C G T N; replace them, with N "
            "if any base is possible"
        )
    return found.tokens
