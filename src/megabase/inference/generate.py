"""Continue sequences base by base, exactly and at nearly the same cost for each base.

What is drawn are the four bases only. The log-likelihood of a sequence is the model's own, of
the bases that were added given all before them: Eq. log-likelihood, before temperature, top-k,
top-p, template or constraint had their say. A base that nothing precedes has probability 1/4,
and is drawn so.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from megabase.errors import InputError, WorkError
from megabase.genome.constraint import Constraint, Walk
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.draw import draw, draw_probabilities
from megabase.inference.generation_request import check_request
from megabase.inference.sampling import Sampling
from megabase.model.cache import Cache
from megabase.model.language import LanguageModel

_FIRST, _LAST = DNA_VOCABULARY.base_ids[0], DNA_VOCABULARY.base_ids[-1]
_PAD = DNA_VOCABULARY.id_of("[PAD]")
_AS_THE_MODEL_SAYS = Sampling()


class Generated(NamedTuple):
    """The tokens that were added to a prompt, and their log-likelihood in nats."""

    tokens: TokenArray
    log_likelihood: float


def generate(
    model: LanguageModel,
    prompts: Sequence[TokenArray],
    length: int,
    *,
    sampling: Sampling = _AS_THE_MODEL_SAYS,
    seed: int = 0,
    numbers: Sequence[tuple[int, ...]] | None = None,
    template: TokenArray | None = None,
    constraint: Constraint | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[Generated]:
    """Continue each prompt by `length` bases, all prompts side by side.

    Each sequence has random numbers of its own, of its number and the seed: what stands
    beside it changes it no more than rounding does.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device that shall do the work.
    prompts
        Tokens of each; they may differ in length, and some may be empty.
    length
        Bases to add to each.
    sampling
        How a base is drawn.
    seed
        Of all random numbers.
    numbers
        What tells each sequence from all others that are made of this seed; None: its place.
    template
        Tokens of `length` bases that are fixed where they are no N.
    constraint
        Of `length`, with its own template in place of `template`. At each place only bases are
        drawn that leave a way to the end; the others have no probability, before top-k and top-p.
    advance
        Is told the bases that were added, a few at a time.

    Raises
    ------
    InputError
        If the template has another length, prompt and length exceed the context, or no bases
        after a prompt meet the constraint.
    WorkError
        If the model answers with no number.
    """
    check_request(
        prompts, length, context_length=model.config.context_length, template=template, seed=seed
    )
    if constraint is not None:
        _check_constraint(constraint, length, template)
    numbers = [(place,) for place in range(len(prompts))] if numbers is None else numbers
    streams = [np.random.default_rng([seed, *number]).random(length) for number in numbers]
    answers: dict[int, Generated] = {}
    for is_empty in (False, True):  # each by itself: a model reads at least one token
        rows = [row for row, prompt in enumerate(prompts) if (len(prompt) == 0) is is_empty]
        if rows:
            chosen = [prompts[row] for row in rows]
            walk = None if constraint is None else Walk(constraint, chosen)
            fixed = template if constraint is None else constraint.template
            uniform = torch.from_numpy(np.stack([streams[row] for row in rows]))
            writer = _Writer(uniform.to(next(model.parameters()).device), sampling, fixed, walk)
            written = _write(model, chosen, length, writer, advance)
            answers.update(zip(rows, written, strict=True))
    return [answers[row] for row in range(len(prompts))]


def _write(
    model: LanguageModel,
    prompts: Sequence[TokenArray],
    length: int,
    writer: "_Writer",
    advance: Callable[[int], None] | None,
) -> list[Generated]:
    """Continue prompts all of which are empty, or none."""
    device = next(model.parameters()).device
    has_prompt = len(prompts[0]) > 0
    cache = Cache(model.backbone, max(0, length - (1 if has_prompt else 2)))
    with torch.inference_mode():
        if has_prompt:
            logits = cache.absorb(*_pad_left(prompts, device))
        else:
            logits = torch.zeros(len(prompts), model.config.vocab_size, device=device)
        for position in range(length):
            tokens = writer.write(position, logits)
            if advance is not None:
                advance(len(prompts))
            if position + 1 < length:
                is_first = position == 0 and not has_prompt
                logits = cache.absorb(tokens[:, None]) if is_first else cache.step(tokens)
    return writer.finish()


class _Writer:
    """Draws base after base of each sequence, and sums what the model says of them."""

    def __init__(
        self,
        uniform: Float64[Tensor, "batch length"],
        sampling: Sampling,
        template: TokenArray | None,
        walk: Walk | None,
    ) -> None:
        self._uniform, self._sampling = uniform.t().contiguous(), sampling
        self._walk = walk
        letters = [DNA_VOCABULARY.unknown_id] * len(self._uniform)
        self._template = letters if template is None else template.tolist()
        self._tokens = torch.empty_like(self._uniform, dtype=torch.int64)
        self._total = torch.zeros_like(self._uniform[0])

    def write(self, position: int, logits: Float[Tensor, "batch token"]) -> Int64[Tensor, " batch"]:
        """Give the next token of each sequence, drawn or that of the template."""
        log_p = torch.log_softmax(logits[:, _FIRST : _LAST + 1].double(), dim=-1)
        fixed = self._template[position]
        if fixed == DNA_VOCABULARY.unknown_id:
            p = draw_probabilities(self._sampling, self._allowed(log_p))
            base = draw(p, self._uniform[position])
        else:
            base = torch.full_like(self._tokens[position], fixed - _FIRST)
        if self._walk is not None:
            self._walk.take(base.tolist())
        self._total += log_p.gather(-1, base[:, None])[:, 0]
        return torch.add(base, _FIRST, out=self._tokens[position])

    def _allowed(self, log_p: Float64[Tensor, "batch base"]) -> Float64[Tensor, "batch base"]:
        """Take away the bases after which the constraint could not be met."""
        if self._walk is None:
            return log_p
        is_allowed = torch.from_numpy(self._walk.allowed()).to(log_p.device)
        return log_p.masked_fill(~is_allowed, -torch.inf)

    def finish(self) -> list[Generated]:
        """Give what was written, unless the model diverged."""
        totals = self._total.tolist()
        if not np.isfinite(totals).all():
            raise WorkError("the model's answer is no number: its weights have diverged")
        tokens = self._tokens.t().cpu().numpy().astype(np.uint8)
        return [Generated(row, total) for row, total in zip(tokens, totals, strict=True)]


def _check_constraint(constraint: Constraint, length: int, template: TokenArray | None) -> None:
    if constraint.length != length:
        raise InputError(
            f"the constraint is of {constraint.length:,} bases, and {length:,} are generated; "
            "make them the same"
        )
    if template is not None:
        raise InputError("a constraint has a template of its own; give it there")


def _pad_left(
    prompts: Sequence[TokenArray], device: torch.device
) -> tuple[Int64[Tensor, "batch length"], Bool[Tensor, "batch length"] | None]:
    """Pad to the longest, all ending together; the mask is false on padding, None without."""
    longest = max(map(len, prompts))
    tokens = torch.full((len(prompts), longest), _PAD)
    for row, prompt in enumerate(prompts):
        tokens[row, longest - len(prompt) :] = torch.from_numpy(prompt.astype(np.int64))
    is_real = tokens != _PAD
    return tokens.to(device), None if is_real.all() else is_real.to(device)
