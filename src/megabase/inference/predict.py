"""Classes, labels and values that a fine-tuned model gives sequences, or their bases."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

import numpy as np
import torch
from jaxtyping import Float64

from megabase.errors import DivergedError, InputError
from megabase.genome.vocabulary import TokenArray
from megabase.inference.likelihood import TOKENS_PER_BATCH
from megabase.inference.strands import join_strands, read_strands, strands_of
from megabase.model.architecture import JOINT
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import (
    ANY_LABELS,
    ONE_CLASS,
    REGRESSION,
    AnswersEachToken,
    SequenceModel,
)
from megabase.model.padding import batches, pad

PREDICTED = "predicted"
"""The column of what is predicted: the label of a class, names of labels, or a value."""

_SORTED = 1024  # sequences that are sorted by length together; so many are held
_TOKENS_SORTED = 1 << 20  # that they may have, or few more: each may have answers


def predictions(
    model: SequenceModel,
    sequences: Iterable[TokenArray],
    *,
    strand: str = "forward",
    advance: Callable[[int], None] | None = None,
) -> Iterator[Float64[np.ndarray, "*base output"]]:
    """Give, for each sequence in order, the probability of each class or label, or the values.

    They are (output,), and of a model that answers each base (base, output). Sequences of
    similar lengths are read together, and the last bits depend on which.

    Parameters
    ----------
    model
        In evaluation mode, on the device that shall do the work.
    sequences
        Tokens of each.
    strand
        One of `strands.STRANDS`; ``average``: the mean of the answers for both strands. Of a
        base these are the answers at its own place on either strand: the one sees what is
        left of it, the other what is right.
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
    per_base = isinstance(model, AnswersEachToken)
    for some in _pools(sequences):
        logits = _logits(model, list(read_strands(some, strands)))
        answers = [answers_of(each) for each in logits]
        if not all(np.isfinite(each).all() for each in answers):
            raise DivergedError("the model's answer is no number: its weights have diverged")
        if advance is not None:
            advance(len(some))
        if per_base:
            yield from join_strands(answers, strands)
        else:
            yield from np.stack(answers).reshape(len(some), len(strands), -1).mean(axis=1)


def joined_predictions(
    model: SequenceModel, sequences: Iterable[TokenArray], *, strand: str = "forward"
) -> Float64[np.ndarray, "answer ..."]:
    """Give `predictions` as `measure.metrics` takes them: all rows, or all bases of all rows.

    Probabilities are (answer, class) or (answer, label), values (answer,).
    """
    found = list(predictions(model, sequences, strand=strand))
    joined = np.concatenate(found) if isinstance(model, AnswersEachToken) else np.stack(found)
    return joined[:, 0] if problem(model.config) == REGRESSION else joined


def _pools(sequences: Iterable[TokenArray]) -> Iterator[list[TokenArray]]:
    """Take so many sequences at a time as are held together with their answers."""
    pool: list[TokenArray] = []
    n_tokens = 0
    for sequence in sequences:
        pool.append(sequence)
        n_tokens += len(sequence)
        if len(pool) == _SORTED or n_tokens >= _TOKENS_SORTED:
            yield pool
            pool, n_tokens = [], 0
    if pool:
        yield pool


def problem(config: HyenaDNAConfig) -> str:
    """Give what a model answers with: one of `model.heads`' three problem types.

    Raises
    ------
    InputError
        If it is none of them.
    """
    default = ONE_CLASS if len(_names(config)) > 1 else REGRESSION
    kind = config.problem_type or default
    if kind not in tuple(_ANSWERS):  # of a damaged configuration it may have no hash
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
    model: SequenceModel, sequences: list[TokenArray]
) -> list[Float64[np.ndarray, "*base output"]]:
    per_base = isinstance(model, AnswersEachToken)
    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
    device = next(model.parameters()).device
    found: list[np.ndarray] = []
    ordered = (sequences[place] for place in order)
    for batch in batches(ordered, TOKENS_PER_BATCH, n_beside=model.config.n_positions(0)):
        tokens, mask = (tensor.to(device) for tensor in pad(batch))
        with torch.inference_mode():
            answer = model(tokens, None if mask.all() else mask).logits
        found.extend(answer.double().cpu().numpy())
    logits = dict(zip(order, found, strict=True))
    if not per_base:
        return [logits[place] for place in range(len(sequences))]
    return [logits[place][: len(tokens)] for place, tokens in enumerate(sequences)]


def _softmax(
    logits: Float64[np.ndarray, "*base output"],
) -> Float64[np.ndarray, "*base output"]:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _sigmoid(
    logits: Float64[np.ndarray, "*base output"],
) -> Float64[np.ndarray, "*base output"]:
    return np.exp(-np.logaddexp(0, -logits))


def _as_they_are(
    logits: Float64[np.ndarray, "*base output"],
) -> Float64[np.ndarray, "*base output"]:
    return logits


_ANSWERS = {ONE_CLASS: _softmax, ANY_LABELS: _sigmoid, REGRESSION: _as_they_are}
