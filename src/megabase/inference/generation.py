"""Continue sequences base by base, exactly and at nearly the same cost for each base.

Only A, C, G and T are drawn. The log-likelihood of a sequence is that of the added bases given
all bases before them, Eq. log-likelihood, from the model's own probabilities: temperature,
top-k, top-p, template and constraint do not enter it. If nothing precedes a base, each of the
four has probability 1/4.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from megabase.errors import InputError, WorkError
from megabase.genome.constraint import ConstrainedBatch, Constraint
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.sampling import Sampling, check_request
from megabase.model.cache import Cache
from megabase.model.language import LanguageModel


def draw_probabilities(
    sampling: Sampling, log_p: Float[Tensor, "batch base"]
) -> Float64[Tensor, "batch base"]:
    """Return the probabilities with which bases are drawn.

    Parameters
    ----------
    sampling
        Temperature, top-k and top-p, applied in this order.
    log_p
        Logarithms of the model's probabilities; an added constant has no effect.
    """
    # The likeliest base gets exactly 0, which stays finite at any temperature.
    below = log_p.double() - log_p.double().amax(dim=-1, keepdim=True)
    p = torch.softmax(below / sampling.temperature, dim=-1)
    if sampling.top_k == p.shape[-1] and sampling.top_p == 1.0:
        return p
    p, order = p.sort(dim=-1, descending=True, stable=True)
    p[:, sampling.top_k :] = 0.0
    p /= p.sum(dim=-1, keepdim=True)
    p[p.cumsum(dim=-1) - p >= sampling.top_p] = 0.0  # likelier bases alone reach top_p
    p /= p.sum(dim=-1, keepdim=True)
    return torch.empty_like(p).scatter_(-1, order, p)


def draw(
    p: Float64[Tensor, "batch base"], uniform: Float64[Tensor, " batch"]
) -> Int64[Tensor, " batch"]:
    """Draw a base for each row by inverting the cumulative sum of its probabilities.

    Parameters
    ----------
    p
        Probabilities of the bases.
    uniform
        A uniform number in [0, 1) for each row.

    Returns
    -------
    base
        Index of the drawn base.

    Examples
    --------
    >>> p = torch.tensor([[0.5, 0.0, 0.25, 0.25]], dtype=torch.float64)
    >>> [draw(p, torch.tensor([u], dtype=torch.float64)).item() for u in (0.0, 0.5, 0.8)]
    [0, 2, 3]
    """
    sums = p.cumsum(dim=-1)
    # `uniform` is scaled by the total, which rounding leaves slightly off 1.
    return (sums[:, :-1] <= uniform[:, None] * sums[:, -1:]).sum(dim=-1)


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
    """Continue each prompt by `length` bases, all prompts in one batch.

    Each sequence has its own random numbers, derived from the seed and its number, so the
    other sequences of a batch change it only through rounding.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    prompts
        Token ids of each prompt; they may differ in length, and some may be empty.
    length
        Bases to add to each prompt.
    sampling
        Temperature, top-k and top-p.
    seed
        Seed of all random numbers, 0 or more.
    numbers
        Identifies each sequence among all that are generated with this seed; None: its index.
    template
        `length` token ids: bases that are fixed, or N where a base is to be drawn.
    constraint
        A constraint on `length` bases; it has its own template, which replaces `template`.
        At each position only bases that still allow the constraint to be met are drawn: the
        others get probability 0 before top-k and top-p are applied.
    advance
        Called after each position with the number of bases added.

    Raises
    ------
    InputError
        If the template has another length, prompt and length exceed the context, or no bases
        after a prompt meet the constraint.
    WorkError
        If the model's output is NaN or infinite.
    """
    check_request(
        prompts, length, context_length=model.config.context_length, template=template, seed=seed
    )
    if constraint is not None:
        _check_constraint(constraint, length, template)
    numbers = [(place,) for place in range(len(prompts))] if numbers is None else numbers
    # One stream of random numbers per sequence, so that none depends on the batch.
    streams = [np.random.default_rng([seed, *number]).random(length) for number in numbers]
    answers: dict[int, Generated] = {}
    for is_empty in (False, True):  # separate batches, because a model reads at least one token
        rows = [row for row, prompt in enumerate(prompts) if (len(prompt) == 0) is is_empty]
        if rows:
            chosen = [prompts[row] for row in rows]
            constrained = None if constraint is None else ConstrainedBatch(constraint, chosen)
            fixed = template if constraint is None else constraint.template
            uniform = torch.from_numpy(np.stack([streams[row] for row in rows]))
            writer = _Writer(
                uniform.to(next(model.parameters()).device), sampling, fixed, constrained
            )
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
    """Continue prompts that are either all empty or all non-empty."""
    device = next(model.parameters()).device
    has_prompt = len(prompts[0]) > 0
    # The last drawn base is not read; without a prompt the first one takes the prompt's place.
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
    """Draws base after base of each sequence, and sums the log-likelihoods."""

    def __init__(
        self,
        uniform: Float64[Tensor, "batch length"],
        sampling: Sampling,
        template: TokenArray | None,
        constrained: ConstrainedBatch | None,
    ) -> None:
        self._uniform, self._sampling = uniform.t().contiguous(), sampling
        self._constrained = constrained
        letters = [DNA_VOCABULARY.unknown_id] * len(self._uniform)
        self._template = letters if template is None else template.tolist()
        self._tokens = torch.empty_like(self._uniform, dtype=torch.int64)
        self._total = torch.zeros_like(self._uniform[0])

    def write(self, position: int, logits: Float[Tensor, "batch token"]) -> Int64[Tensor, " batch"]:
        """Return the next token of each sequence, drawn or taken from the template."""
        log_p = torch.log_softmax(logits[:, _FIRST : _LAST + 1].double(), dim=-1)
        fixed = self._template[position]
        if fixed == DNA_VOCABULARY.unknown_id:
            p = draw_probabilities(self._sampling, self._allowed(log_p))
            base = draw(p, self._uniform[position])
        else:
            base = torch.full_like(self._tokens[position], fixed - _FIRST)
        if self._constrained is not None:
            self._constrained.take(base.tolist())
        self._total += log_p.gather(-1, base[:, None])[:, 0]
        return torch.add(base, _FIRST, out=self._tokens[position])

    def _allowed(self, log_p: Float64[Tensor, "batch base"]) -> Float64[Tensor, "batch base"]:
        """Set ln p to -inf for bases after which the constraint could not be met."""
        if self._constrained is None:
            return log_p
        is_allowed = torch.from_numpy(self._constrained.allowed()).to(log_p.device)
        return log_p.masked_fill(~is_allowed, -torch.inf)

    def finish(self) -> list[Generated]:
        """Return the generated sequences; raise a WorkError if the model has diverged."""
        totals = self._total.tolist()
        if not np.isfinite(totals).all():
            raise WorkError("the model's output is NaN or infinite: its weights have diverged")
        tokens = self._tokens.t().cpu().numpy().astype(np.uint8)
        return [Generated(row, total) for row, total in zip(tokens, totals, strict=True)]


def _check_constraint(constraint: Constraint, length: int, template: TokenArray | None) -> None:
    if constraint.length != length:
        raise InputError(
            f"the constraint is for {constraint.length:,} bases, and {length:,} are generated; "
            "make the lengths equal"
        )
    if template is not None:
        raise InputError("a constraint has its own template; set the template in the constraint")


def _pad_left(
    prompts: Sequence[TokenArray], device: torch.device
) -> tuple[Int64[Tensor, "batch length"], Bool[Tensor, "batch length"] | None]:
    """Pad to the longest prompt on the left; the mask is False on padding, None if there is none.

    All prompts then end at the same position, from which generation continues.
    """
    longest = max(map(len, prompts))
    tokens = torch.full((len(prompts), longest), _PAD)
    for row, prompt in enumerate(prompts):
        tokens[row, longest - len(prompt) :] = torch.from_numpy(prompt.astype(np.int64))
    is_real = tokens != _PAD
    return tokens.to(device), None if is_real.all() else is_real.to(device)
