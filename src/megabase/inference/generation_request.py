"""Whether sequences can be generated as they are asked for, and the constraint on all of them."""

from collections.abc import Sequence

from megabase.errors import InputError
from megabase.genome.constraint import Constraint
from megabase.genome.gc_range import GcRange
from megabase.genome.motif import Motifs
from megabase.genome.vocabulary import TokenArray


def check_request(
    prompts: Sequence[TokenArray],
    length: int,
    *,
    context_length: int,
    template: TokenArray | None,
    seed: int,
) -> None:
    """Raise an InputError unless `generate` can do what is asked."""
    if length < 1:
        raise InputError(f"the length to generate is at least 1 base, got {length}")
    if seed < 0:
        raise InputError(f"a seed is 0 or more, got {seed}")
    if not prompts:
        raise InputError("there is no prompt to continue; an empty one starts from nothing")
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
            "make them the same"
        )


def constraint_of(
    prompts: Sequence[TokenArray],
    length: int,
    *,
    motifs: Motifs,
    gc: GcRange | None,
    template: TokenArray | None,
) -> Constraint | None:
    """Look ahead once for all prompts; None where neither motifs nor a range constrain them.

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
