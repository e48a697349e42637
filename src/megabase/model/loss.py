"""The loss of a causal language model, computed without holding the logits of all tokens."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from megabase.model.made_again import recomputed
from megabase.ops.tracing import static_size, why_traced

_NO_TARGET = -100
_CHUNK = 1 << 14  # tokens whose logits are held at once


def target_weights(
    labels: Int[Tensor, "batch length"], weights: Float[Tensor, "batch length"] | None
) -> Float[Tensor, "batch length"]:
    """Return the weight of the prediction made after each token, 0 if it has no target.

    Parameters
    ----------
    labels
        The tokens, with -100 where a token is not a target.
    weights
        Weight of each token as a target; None: all 1.
    """
    is_target = functional.pad(labels[:, 1:] != _NO_TARGET, (0, 1), value=False)
    if weights is None:
        return is_target.float()
    return functional.pad(weights[:, 1:].float(), (0, 1)) * is_target


def next_token_loss(
    hidden: Float[Tensor, "batch length d_model"],
    head: Float[Tensor, "token d_model"],
    labels: Int[Tensor, "batch length"],
    *,
    weights: Float[Tensor, "batch length"] | None = None,
    n_targets: Tensor | float | int | None = None,
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy in nats of each token given those before it.

    It is 0 without targets. Logits are computed for 16,384 tokens at a time, and recomputed for
    the gradient.

    Parameters
    ----------
    hidden
        The normed hidden state of each token.
    head
        One row for each token of the vocabulary.
    labels
        The tokens, with -100 where a token is not a target. They are shifted by one here.
    weights
        Weight of each token as a target; None: all 1.
    n_targets
        Divisor of the sum of losses; None: the sum of weights.
    """
    counted = target_weights(labels, weights)
    target = functional.pad(labels[:, 1:].clamp(min=0), (0, 1)).flatten()
    states, flat = hidden.flatten(0, 1), counted.flatten()
    total = hidden.new_zeros((), dtype=torch.float32)
    is_traced = why_traced(hidden) is not None
    for start in range(0, static_size(target, 0), _CHUNK):
        part = slice(start, start + _CHUNK)
        arguments = (states[part], head, target[part], flat[part])
        total = total + (
            _sum_of_chunk(*arguments) if is_traced else recomputed(_sum_of_chunk, *arguments)
        )
    return total / (counted.sum().clamp(min=1e-9) if n_targets is None else n_targets)


def _sum_of_chunk(
    states: Float[Tensor, "chunk d_model"],
    head: Float[Tensor, "token d_model"],
    target: Int[Tensor, " chunk"],
    weights: Float[Tensor, " chunk"],
) -> Float[Tensor, ""]:
    losses = functional.cross_entropy(
        functional.linear(states, head).float(), target, reduction="none"
    )
    return (losses * weights).sum()
