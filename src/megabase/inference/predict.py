"""Classes, labels and values that a fine-tuned model gives sequences."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import cast

import numpy as np
import torch
from jaxtyping import Float64

from megabase.errors import DivergedError, InputError
from megabase.inference.likelihood import TOKENS_PER_BATCH
from megabase.inference.strands import read_strands, strands_of
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import ANY_LABELS, JOINT, ONE_CLASS, REGRESSION
from megabase.model.padding import TokenArray, batches, pad

PREDICTED = "predicted"
"""The column of what is predicted: the label of a class, names of labels, or a value."""

_SORTED = 1024  # sequences that are sorted by length together; so many are held


def predictions(
    model: HyenaDNAForSequenceClassification,
    sequences: Iterable[TokenArray],
    *,
    strand: str = "forward",
    advance: Callable[[int], None] | None = None,
) -> Iterator[Float64[np.ndarray, " output"]]:
    """Give, for each sequence in order, the probability of each class or label, or the values.

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
        If the strand is none, or the model's problem is none that is known.
    DivergedError
        If the model answers with no number.
    """
    strands = strands_of(strand)
    answers_of = _ANSWERS[problem(model.config)]
    pending = iter(sequences)
    while some := list(islice(pending, _SORTED)):
        read = list(read_strands(some, strands))
        answers = answers_of(_logits(model, read))
        answers = answers.reshape(len(some), len(strands), -1).mean(axis=1)
        if not np.isfinite(answers).all():
            raise DivergedError("the model's answer is no number: its weights have diverged")
        if advance is not None:
            advance(len(some))
        yield from answers


def problem(config: HyenaDNAConfig) -> str:
    """Give what a model answers with: one of `model.heads`' three problem types.

    Raises
    ------
    InputError
        If it is none of them.
    """
    default = ONE_CLASS if len(_names(config)) > 1 else REGRESSION
    kind = config.problem_type or default
    if kind not in _ANSWERS:
        raise InputError(f"this model's problem is {kind}; expected {', '.join(_ANSWERS)}")
    return kind


def prediction_columns(config: HyenaDNAConfig) -> list[str]:
    """Name the columns of a prediction: `PREDICTED`, then ``p_CLASS`` for each class or label.

    Of several values the columns are ``predicted_NAME``.
    """
    names = _names(config)
    if problem(config) != REGRESSION:
        return [PREDICTED, *(f"p_{name}" for name in names)]
    return [PREDICTED] if len(names) == 1 else [f"{PREDICTED}_{name}" for name in names]


def prediction_row(
    config: HyenaDNAConfig, answer: Float64[np.ndarray, " output"]
) -> Mapping[str, object]:
    """Give the values of `prediction_columns`.

    The class is the most probable, of equals the first; labels are those of a probability of
    0.5 or more, with `JOINT` between them.
    """
    values: list[object] = answer.tolist()
    names, kind = _names(config), problem(config)
    if kind == ONE_CLASS:
        values.insert(0, names[int(answer.argmax())])
    elif kind == ANY_LABELS:
        predicted = (name for name, p in zip(names, answer, strict=True) if p >= 0.5)
        values.insert(0, JOINT.join(predicted))
    return dict(zip(prediction_columns(config), values, strict=True))


def _names(config: HyenaDNAConfig) -> list[str]:
    """Give the name of each output, in order."""
    names = cast("Mapping[int, str]", config.id2label)
    return [names[number] for number in range(len(names))]


def _logits(
    model: HyenaDNAForSequenceClassification, sequences: list[TokenArray]
) -> Float64[np.ndarray, "sequence output"]:
    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
    device = next(model.parameters()).device
    found: list[np.ndarray] = []
    for batch in batches((sequences[place] for place in order), TOKENS_PER_BATCH):
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


def _sigmoid(
    logits: Float64[np.ndarray, "sequence output"],
) -> Float64[np.ndarray, "sequence output"]:
    return np.exp(-np.logaddexp(0, -logits))


def _as_they_are(
    logits: Float64[np.ndarray, "sequence output"],
) -> Float64[np.ndarray, "sequence output"]:
    return logits


_ANSWERS = {ONE_CLASS: _softmax, ANY_LABELS: _sigmoid, REGRESSION: _as_they_are}
