r"""Heads, linear maps of the hidden states: of whole sequences, pooled, or of each token.

The output of a regression is in the unit of its targets, y = m + s z, with the mean m and
the standard deviation s of the training split. The head's z and the loss are in standard units.
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
"""The problem types, under the names of transformers."""


@runtime_checkable
class Answer(Protocol):
    """The output of a model for a batch."""

    @property
    def logits(self) -> Tensor:
        """Output of a `SequenceHead`, (batch, label), or a `TokenHead`, (batch, length, label)."""
        ...


@runtime_checkable
class SequenceModel(Protocol):
    """The interface of a torch module that is trained on labelled sequences and predicts labels.

    Of its `config`, the label names, the problem type and the units of targets are used.
    """

    @property
    def config(self) -> HyenaDNAConfig:
        """Label names, problem type and units of its outputs."""
        ...

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Answer:
        """Return the output for each sequence."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield its parameters."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield its parameters with their names."""
        ...

    def train(self, mode: bool = True) -> object:
        """Put it into training mode."""
        ...

    def eval(self) -> object:
        """Put it into evaluation mode."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> object:
        """Load weights by name; if not strict, missing ones are left as they are."""
        ...


def pool(
    hidden: Float[Tensor, "batch length d_model"],
    mask: Bool[Tensor, "batch length"] | None,
    pooling: str,
) -> Float[Tensor, "batch d_model"]:
    """Pool the real tokens of each sequence into one vector; padding may be on either side.

    Parameters
    ----------
    hidden
        Hidden states.
    mask
        False where a token is padding; None: no padding.
    pooling
        ``"mean"`` or ``"max"`` of each channel, the ``"last"`` real token, or ``"centre"``: the
        real token at index n // 2 of n.

    Raises
    ------
    InputError
        If a sequence is all padding.
    """
    if mask is None:
        mask = hidden.new_ones(hidden.shape[:2], dtype=torch.bool)
    lengths = mask.sum(dim=1)
    if why_traced(mask) is None and not bool(lengths.all()):
        raise InputError("a sequence of the batch is all padding; each needs at least one token")
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
    """Dropout, a linear map, and conversion to the unit of the targets."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.head_dropout)
        self.linear = nn.Linear(config.d_model, cast("int", config.num_labels))

    def answer(self, vectors: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place label"]:
        """Return the logit of each class, or the value of each target in its own unit."""
        z = self.linear(self.dropout(vectors))
        if self.config.target_scale is None:
            return z
        return z * z.new_tensor(self.config.target_scale) + z.new_tensor(self.config.target_mean)


class SequenceHead(_Head):
    """A head on whole sequences: pooling, dropout, and a linear map.

    Parameters
    ----------
    config
        Its `pooling`, `head_dropout`, `num_labels`, `target_mean` and `target_scale` are used.
    """

    def forward(
        self,
        hidden: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch label"]:
        """Return the logits of each sequence, or values in the unit of the targets."""
        return self.answer(pool(hidden, mask, self.config.pooling))


class PredictsEachToken:
    """Marks a `SequenceModel` whose logits are those of each token, (batch, length, label)."""


class TokenHead(_Head):
    """A head on each token: dropout and a linear map.

    Parameters
    ----------
    config
        Its `head_dropout`, `num_labels`, `target_mean` and `target_scale` are used.
    """

    def forward(
        self, hidden: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch length label"]:
        """Return the logits of each token, or values in the unit of the targets."""
        return self.answer(hidden)


def problem_type(config: HyenaDNAConfig, labels: Tensor) -> str:
    """Return the problem type of the configuration, or infer it from the labels.

    As in transformers, one output means regression. Several outputs mean one class of several
    if labels are integers, (batch,), and otherwise any of several labels.

    Parameters
    ----------
    config
        The configuration of the model.
    labels
        Labels of a batch.
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
    """Return the loss of each sequence, in float32.

    Parameters
    ----------
    logits
        Output of a `SequenceHead`.
    labels
        Class numbers, (batch,): cross-entropy in nats. A 0 or 1 for each label, (batch, label):
        the mean of their binary cross-entropies. Values, (batch,) or (batch, label): the mean of
        the squared errors in standard units.
    config
        The configuration of the model.
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
"""The class of a token that is not counted in loss and metrics; in a regression it is NaN."""


def is_counted(labels: Shaped[Tensor, "batch length"]) -> Bool[Tensor, "batch length"]:
    """Return whether each token is counted in loss and metrics."""
    return ~labels.isnan() if labels.is_floating_point() else labels != UNCOUNTED


def token_losses(
    logits: Float[Tensor, "batch length label"],
    labels: Shaped[Tensor, "batch length"],
    config: HyenaDNAConfig,
) -> Float[Tensor, "batch length"]:
    """Return the loss of each token, in float32; 0 for tokens that are not counted.

    Parameters
    ----------
    logits
        Output of a `TokenHead`.
    labels
        Class numbers, with `UNCOUNTED` where a token is not counted; or values, with NaN there.
    config
        The configuration of the model, which predicts one class of several, or one value.
    """
    counted = is_counted(labels)
    known = labels.masked_fill(~counted, 0)
    each = losses(logits.flatten(0, 1), known.flatten(), config).view(labels.shape)
    return each.masked_fill(~counted, 0.0)


def token_weights(labels: Shaped[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
    """Return weights of tokens: those of a row sum to 1, or to 0 if it has no counted token."""
    counted = is_counted(labels).float()
    return counted / counted.sum(dim=1, keepdim=True).clamp(min=1)


def weighted_mean(
    each: Float[Tensor, "*place"], weights: Float[Tensor, "*place"]
) -> Float[Tensor, ""]:
    """Return the weighted mean of losses, 0 if all weights are 0."""
    return (each * weights).sum() / weights.sum().clamp(min=torch.finfo(torch.float32).tiny)
