"""How a base is drawn, and whether a request for sequences can be met."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from megabase.errors import InputError
from megabase.genome.constraint import Constraint, GcRange, Motifs
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray

_N_BASES = len(DNA_VOCABULARY.base_ids)


@dataclass(frozen=True)
class Sampling:
    """How bases are drawn from the model's probabilities of A, C, G and T.

    Parameters
    ----------
    temperature
        Divides the log-probabilities; below 1 likely bases become likelier.
    top_k
        Draw only from the `top_k` likeliest bases; 1 always takes the likeliest.
    top_p
        Draw only from the fewest likeliest bases that together reach this probability,
        computed after temperature and `top_k`.
    """

    temperature: float = 1.0
    top_k: int = _N_BASES
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InputError(
                f"the temperature must be above 0, got {self.temperature:g}; use top-k 1 to always "
                "take the likeliest base"
            )
        if not 1 <= self.top_k <= _N_BASES:
            raise InputError(f"top-k must be from 1 to {_N_BASES} bases, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be above 0 and at most 1, got {self.top_p:g}")


def check_request(
    prompts: Sequence[TokenArray],
    length: int,
    *,
    context_length: int,
    template: TokenArray | None,
    seed: int,
) -> None:
    """Check the arguments of `generate`.

    Parameters
    ----------
    prompts
        Token ids of each prompt; a prompt may be empty.
    length
        Bases to add to each prompt.
    context_length
        The most tokens that the model reads.
    template
        `length` token ids: fixed bases, or N; None: all are drawn.
    seed
        Seed of the random numbers.

    Raises
    ------
    InputError
        If length or seed is out of range, there is no prompt, the longest prompt and the length
        exceed the context, or the template has another length.
    """
    if length < 1:
        raise InputError(f"the length to generate must be at least 1 base, got {length}")
    if seed < 0:
        raise InputError(f"a seed must be 0 or more, got {seed}")
    if not prompts:
        raise InputError("expected at least one prompt, got none; an empty one is allowed")
    longest, limit = max(map(len, prompts)), context_length
    if longest + length > limit:
        asked = f"a length of {length:,} bp is more"
        if longest:
            asked = (
                f"a prompt of {longest:,} bp and a length of {length:,} bp make "
                f"{longest + length:,}, which is more"
            )
        raise InputError(
            f"{asked} than the {limit:,} bp that the model reads; shorten "
            f"{'one of them' if longest else 'it'}, or train with --context-length "
            f"{longest + length} or more"
        )
    if template is not None and len(template) != length:
        raise InputError(
            f"the template has {len(template):,} letters, and {length:,} bases are generated; "
            "make the lengths equal"
        )


def constraint_of(
    prompts: Sequence[TokenArray],
    length: int,
    *,
    motifs: Motifs,
    gc: GcRange | None,
    template: TokenArray | None,
) -> Constraint | None:
    """Build the constraint on the generated bases, and check that every prompt can meet it.

    Parameters
    ----------
    prompts
        Token ids of each prompt.
    length
        Bases to add to each prompt.
    motifs
        Motifs that must not occur.
    gc
        Allowed fraction of G and C in the new bases; None: any.
    template
        `length` token ids: fixed bases, or N; None: all are drawn.

    Returns
    -------
    constraint
        None if there are no motifs and no `gc`.

    Raises
    ------
    InputError
        If no `length` bases after one of the prompts meet the constraint.
    """
    if not motifs.motifs and gc is None:
        return None
    constraint = Constraint(length, motifs, gc, template)
    for prompt in prompts:
        constraint.start(prompt)
    return constraint
