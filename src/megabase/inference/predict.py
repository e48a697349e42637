"""Classes and values that a fine-tuned model gives sequences."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import cast

import numpy as np
import torch
from jaxtyping import Float64

from megabase.errors import InputError, WorkError
from megabase.inference.likelihood import TOKENS_PER_BATCH
from megabase.inference.strands import read_strands, strands_of
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import ONE_CLASS, REGRESSION, SequenceModel
from megabase.model.padding import TokenArray, batches, pad

PREDICTED = "predicted"
"""The column of what is predicted: the label of a class, or a value."""

_SORTED = 1024  # sequences that are sorted by length together; so many are held


def predictions(
    model: SequenceModel,
    sequences: Iterable[TokenArray],
    *,
    strand: str = "forward",
    advance: Callable[[int], None] | None = None,
) -> Iterator[Float64[np.ndarray, " output"]]:
    """Give, for each sequence in order, the probability of each class, or the values.

    Sequences of similar lengths are read together, and the last bits depend on which.

    Parameters
    ----------
    model
        In evaluation mode, on the device that shall do the work.
    sequences
        Tokens of each.
    strand
        One of `strands.STRANDS`; ``average``: the mean of the answers for both strands.
    advance
        Is told how many sequences are done.

    Raises
    ------
    InputError
        If the strand is none, or the model answers neither with one class nor with values.
    WorkError
        If the model answers with no number.
    """
    strands = strands_of(strand)
    is_class = answers_with_class(model.config)
    pending = iter(sequences)
    while some := list(islice(pending, _SORTED)):
        read = list(read_strands(some, strands))
        logits = _logits(model, read)
        answers = _softmax(logits) if is_class else logits
        answers = answers.reshape(len(some), len(strands), -1).mean(axis=1)
        if not np.isfinite(answers).all():
            raise WorkError("the model's answer is no number: its weights have diverged")
        if advance is not None:
            advance(len(some))
        yield from answers


def answers_with_class(config: HyenaDNAConfig) -> bool:
    """Whether a model answers with one of several classes; else it is a regression.

    Raises
    ------
    InputError
        If it is neither.
    """
    default = ONE_CLASS if len(_names(config)) > 1 else REGRESSION
    kind = config.problem_type or default
    if kind not in (ONE_CLASS, REGRESSION):
        raise InputError(f"this model's problem is {kind}; classes and values can be predicted")
    return kind == ONE_CLASS


def prediction_columns(config: HyenaDNAConfig) -> list[str]:
    """Name the columns of a prediction: `PREDICTED`, then ``p_CLASS`` for each class.

    Of several values the columns are ``predicted_NAME``.
    """
    names = _names(config)
    if answers_with_class(config):
        return [PREDICTED, *(f"p_{name}" for name in names)]
    return [PREDICTED] if len(names) == 1 else [f"{PREDICTED}_{name}" for name in names]


def prediction_row(
    config: HyenaDNAConfig, answer: Float64[np.ndarray, " output"]
) -> Mapping[str, object]:
    """Give the values of `prediction_columns`; of equal probabilities the first class counts."""
    values: list[object] = answer.tolist()
    if answers_with_class(config):
        values.insert(0, _names(config)[int(answer.argmax())])
    return dict(zip(prediction_columns(config), values, strict=True))


def _names(config: HyenaDNAConfig) -> list[str]:
    """Give the name of each output, in order."""
    names = cast("Mapping[int, str]", config.id2label)
    return [names[number] for number in range(len(names))]


def _logits(
    model: SequenceModel, sequences: list[TokenArray]
) -> Float64[np.ndarray, "sequence output"]:
    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
    device = next(model.parameters()).device
    found: list[np.ndarray] = []
    ordered = (sequences[place] for place in order)
    for batch in batches(ordered, TOKENS_PER_BATCH, n_beside=model.config.n_positions(0)):
        tokens, mask = (tensor.to(device) for tensor in pad(batch))
        with torch.inference_mode():
            answer = model(tokens, None if mask.all() else mask).logits
        found.append(answer.double().cpu().numpy())
    logits = np.empty((len(sequences), len(_names(model.config))))
    logits[order] = np.concatenate(found)
    return logits


def _softmax(
    logits: Float64[np.ndarray, "sequence output"],
) -> Float64[np.ndarray, "sequence output"]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
