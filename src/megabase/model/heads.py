r"""Heads on whole sequences, pooled over real tokens, and on each token: a linear map answers.

The answer of a regression is in the unit of its targets, y = m + s z, with the mean m and
the standard deviation s of the training part, while the head's z and the loss are in
standard units.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from megabase.errors import InputError
from megabase.model.config import HyenaDNAConfig
from megabase.ops.tracing import why_traced

REGRESSION, ONE_CLASS, ANY_LABELS = (
    "regression", "single_label_classification", "multi_label_classification",
)  # fmt: skip
"""The problem types, as transformers names them."""


@runtime_checkable
class Answer(Protocol):
    """What a model gives for a batch."""

    @property
    def logits(self) -> Tensor:
        """What a `SequenceHead` answers, (batch, label), or a `TokenHead`."""
        ...


@runtime_checkable
class SequenceModel(Protocol):
    """What a torch module has that is trained on labelled sequences and answers for new ones.

    Of its `config` the names, the problem type and the unit of what is answered count.
    """

    @property
    def config(self) -> HyenaDNAConfig:
        """What its answers mean."""
        ...

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Answer:
        """Answer for each sequence."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Give its parameters."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Give its parameters with their names."""
        ...

    def train(self, mode: bool = True) -> object:
        """Put it into training mode."""
        ...

    def eval(self) -> object:
        """Put it into evaluation mode."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> object:
        """Take weights by name; those that are not named stay where it is not strict."""
        ...


def pool(
    hidden: Float[Tensor, "batch length d_model"],
    mask: Bool[Tensor, "batch length"] | None,
    pooling: str,
) -> Float[Tensor, "batch d_model"]:
    """Make one vector of the real tokens of each sequence, wherever its padding stands.

    Parameters
    ----------
    hidden
        Hidden states.
    mask
        False where a token is padding; None where there is none.
    pooling
        ``"mean"`` and ``"max"`` of each channel, ``"last"`` real token, or ``"centre"``: of n
        real tokens the one with n // 2 before it.

    Raises
    ------
    InputError
        If a sequence is all padding.
    """
    if mask is None:
        mask = hidden.new_ones(hidden.shape[:2], dtype=torch.bool)
    lengths = mask.sum(dim=1)
    if why_traced(mask) is None and not bool(lengths.all()):
        raise InputError("a sequence of the batch is all padding; each needs a token")
    match pooling:
        case "mean":
            return (hidden * mask[..., None]).sum(dim=1) / lengths[:, None]
        case "max":
            return hidden.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)
        case _:
            wanted = lengths if pooling == "last" else lengths // 2 + 1
            place = ((mask.cumsum(dim=1) == wanted[:, None]) & mask).int().argmax(dim=1)
            return hidden[torch.arange(len(hidden), device=hidden.device), place]


class _Head(nn.Module):
    """Drop out, map to logits, and answer in the unit of the targets."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.head_dropout)
        self.linear = nn.Linear(config.d_model, cast("int", config.num_labels))

    def answer(self, vectors: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place label"]:
        """Give a logit of each class, or the value of each target in its own unit."""
        z = self.linear(self.dropout(vectors))
        if self.config.target_scale is None:
            return z
        return z * z.new_tensor(self.config.target_scale) + z.new_tensor(self.config.target_mean)


class SequenceHead(_Head):
    """Pool, drop out, map to logits.

    Parameters
    ----------
    config
        Its `pooling`, `head_dropout`, `num_labels`, and the units of its targets.
    """

    def forward(
        self,
        hidden: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch label"]:
        """Give what a sequence is answered: logits, or values in their own unit."""
        return self.answer(pool(hidden, mask, self.config.pooling))


class AnswersEachToken:
    """A `SequenceModel` whose logits are those of each token, (batch, length, label)."""


class TokenHead(_Head):
    """Drop out, map each token to logits.

    Parameters
    ----------
    config
        Its `head_dropout`, `num_labels`, and the units of its targets.
    """

    def forward(
        self, hidden: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch length label"]:
        """Give what each token is answered: logits, or values in their own unit."""
        return self.answer(hidden)


def problem_type(config: HyenaDNAConfig, labels: Tensor) -> str:
    """Give what the labels are: as the configuration says, or else as they look.

    As in transformers, one output is a regression, several with whole numbers one class of
    several, and several with others any of several labels.
    """
    if config.problem_type is not None:
        return config.problem_type
    if config.num_labels == 1:
        return REGRESSION
    return ANY_LABELS if labels.is_floating_point() or labels.ndim > 1 else ONE_CLASS


def losses(
    logits: Float[Tensor, "batch label"],
    labels: Shaped[Tensor, "batch ..."],
    config: HyenaDNAConfig,
) -> Float[Tensor, " batch"]:
    """Give the loss of each sequence, in float32.

    Parameters
    ----------
    logits
        What a `SequenceHead` answers.
    labels
        The number of its class, (batch,): cross-entropy in nats; a truth for each label,
        (batch, label): the mean of their cross-entropies; values, (batch,) or (batch, label):
        the mean of the squared errors in standard units.
    config
        Of the model.
    """
    kind, logits = problem_type(config, labels), logits.float()
    if kind == ONE_CLASS:
        return functional.cross_entropy(logits, labels.long(), reduction="none")
    labels = labels.reshape(logits.shape).float()
    if kind == ANY_LABELS:
        each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return each.mean(dim=1)
    scale = 1.0 if config.target_scale is None else logits.new_tensor(config.target_scale)
    return ((logits - labels) / scale).square().mean(dim=1)


UNCOUNTED = -100
"""The class of a token that does not count; the value of one is NaN."""


def is_counted(labels: Shaped[Tensor, "batch length"]) -> Bool[Tensor, "batch length"]:
    """Whether each token counts in the loss and the metrics."""
    return ~labels.isnan() if labels.is_floating_point() else labels != UNCOUNTED


def token_losses(
    logits: Float[Tensor, "batch length label"],
    labels: Shaped[Tensor, "batch length"],
    config: HyenaDNAConfig,
) -> Float[Tensor, "batch length"]:
    """Give the loss of each token, in float32; 0 where it does not count.

    Parameters
    ----------
    logits
        What a `TokenHead` answers.
    labels
        The number of its class, or `UNCOUNTED`; or its value, or NaN.
    config
        Of the model; one class of several, or one value.
    """
    counted = is_counted(labels)
    known = labels.masked_fill(~counted, 0)
    each = losses(logits.flatten(0, 1), known.flatten(), config).view(labels.shape)
    return each.masked_fill(~counted, 0.0)


def token_weights(labels: Shaped[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
    """Give what each token counts, so that each row counts 1 if one of its tokens counts."""
    counted = is_counted(labels).float()
    return counted / counted.sum(dim=1, keepdim=True).clamp(min=1)


def weighted_mean(
    each: Float[Tensor, "*place"], weights: Float[Tensor, "*place"]
) -> Float[Tensor, ""]:
    """Give the mean of losses; 0 where nothing counts."""
    return (each * weights).sum() / weights.sum().clamp(min=torch.finfo(torch.float32).tiny)
