"""Classes, labels and values that a fine-tuned model predicts for sequences or their bases."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float64

from megabase.errors import DivergedError, InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import TokenArray
from megabase.inference.choices import join_strands, read_strands, strands_of
from megabase.model.architecture import JOINT
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import (
    ANY_LABELS,
    ONE_CLASS,
    REGRESSION,
    PredictsEachToken,
    SequenceModel,
)
from megabase.model.language import TOKENS_PER_BATCH, batches, pad

PREDICTED = "predicted"
"""Column of the prediction: the label of a class, names of labels, or a value."""

_SEQUENCE = "sequence"
_ROW, _POSITION, _BASE = "row", "position", "base"

# Sequences are sorted by length within pools, to save padding; a pool is held in memory.
_SORTED = 1024  # the most sequences of a pool
_TOKENS_SORTED = 1 << 20  # tokens after which a pool ends: each may have a prediction


def predictions(
    model: SequenceModel,
    sequences: Iterable[TokenArray],
    *,
    strand: str = "forward",
    tokens_per_batch: int = TOKENS_PER_BATCH,
    advance: Callable[[int], None] | None = None,
) -> Iterator[Float64[np.ndarray, "*base output"]]:
    """Yield, for each sequence in order, the probabilities of classes or labels, or the values.

    Sequences of similar length are read in one batch, and the last bits depend on the batch.

    Parameters
    ----------
    model
        A fine-tuned model in evaluation mode, on the device to compute on.
    sequences
        Token ids of each sequence.
    strand
        ``forward``, or ``average``: the mean of the predictions for both strands. For a base
        these are the predictions at its own position: on the forward strand the model sees
        the bases to its left, on the reverse strand those to its right.
    tokens_per_batch
        The most tokens in a batch, padding included; a longer sequence is a batch by itself.
    advance
        Called with the number of sequences done since the last call.

    Yields
    ------
    prediction
        (output,); or (base, output) if the model predicts each base.

    Raises
    ------
    InputError
        If the strand or the model's problem type is invalid.
    DivergedError
        If the model's output is NaN or infinite.
    """
    strands = strands_of(strand)
    answers_of = _ANSWERS[problem(model.config)]
    per_base = isinstance(model, PredictsEachToken)
    for some in _pools(sequences):
        logits = _logits(model, list(read_strands(some, strands)), tokens_per_batch)
        answers = [answers_of(each) for each in logits]
        if not all(np.isfinite(each).all() for each in answers):
            raise DivergedError("the model's output is NaN or infinite: its weights have diverged")
        if advance is not None:
            advance(len(some))
        if per_base:
            yield from join_strands(answers, strands)
        else:
            yield from np.stack(answers).reshape(len(some), len(strands), -1).mean(axis=1)


def joined_predictions(
    model: SequenceModel, sequences: Iterable[TokenArray], *, strand: str = "forward"
) -> Float64[np.ndarray, "answer ..."]:
    """Return `predictions` in one array, as the metrics of `measure` take them.

    Parameters
    ----------
    model
        A fine-tuned model in evaluation mode, on the device to compute on.
    sequences
        Token ids of each sequence.
    strand
        ``forward``, or ``average``: the mean of the predictions for both strands.

    Returns
    -------
    answers
        Probabilities (answer, class) or (answer, label), or values (answer,); an answer is for a
        sequence, or for a base if the model predicts each base.
    """
    found = list(predictions(model, sequences, strand=strand))
    joined = np.concatenate(found) if isinstance(model, PredictsEachToken) else np.stack(found)
    return joined[:, 0] if problem(model.config) == REGRESSION else joined


def _pools(sequences: Iterable[TokenArray]) -> Iterator[list[TokenArray]]:
    """Yield pools of consecutive sequences of limited size."""
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
    """Return the problem type of a model: one of the three of `model.heads`.

    Raises
    ------
    InputError
        If the configuration has another type.
    """
    default = ONE_CLASS if len(_names(config)) > 1 else REGRESSION
    kind = config.problem_type or default
    if kind not in tuple(_ANSWERS):  # a tuple, because a damaged value may be unhashable
        raise InputError(
            f"expected a model with the problem type {', '.join(_ANSWERS)}; got {kind}"
        )
    return kind


def prediction_columns(config: HyenaDNAConfig) -> list[str]:
    """Return the columns of a prediction.

    For classes and labels they are `PREDICTED`, then ``p_CLASS`` for each class or label; for
    a single value `PREDICTED`; for several values ``predicted_NAME``.
    """
    names = _names(config)
    if problem(config) != REGRESSION:
        return [PREDICTED, *(f"p_{name}" for name in names)]
    return [PREDICTED] if len(names) == 1 else [f"{PREDICTED}_{name}" for name in names]


def prediction_row(
    config: HyenaDNAConfig, answer: Float64[np.ndarray, " output"]
) -> Mapping[str, object]:
    """Return the values of `prediction_columns` by column.

    The predicted class is the most probable one, the first in case of a tie. The predicted
    labels are those of probability 0.5 or more, joined by `JOINT`.

    Parameters
    ----------
    config
        Configuration of the model.
    answer
        Probabilities or values, in the order of the model's outputs.
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
    """Return the name of each output, in order."""
    names = cast("Mapping[int, str]", config.id2label)
    return [names[number] for number in range(len(names))]


@dataclass(frozen=True)
class PredictionTable:
    """The lines of the output.

    A line has the columns of the row, then those of its prediction. If the model predicts each
    base, every base has a line: the columns of its row except `sequence_column`, then ``row``
    (counted from 1), ``position`` in the sequence as it was read (from 0), and for an interval
    of a genome ``base``, the position on the contig (from 0).

    Parameters
    ----------
    config
        Configuration of the model.
    per_base
        Whether the model predicts each base.
    has_places
        Whether rows are intervals of a genome.
    sequence_column
        The column that is omitted if each base has a line.
    """

    config: HyenaDNAConfig
    per_base: bool
    has_places: bool
    sequence_column: str = _SEQUENCE

    def added(self) -> list[str]:
        """Return the columns that are added to those of a row."""
        place = [_ROW, _POSITION, *([_BASE] if self.has_places else [])] if self.per_base else []
        return [*place, *prediction_columns(self.config)]

    def columns(self, header: list[str]) -> list[str]:
        """Return all columns of the output for an input with this header."""
        left_out = self.sequence_column if self.per_base else None
        return [*(column for column in header if column != left_out), *self.added()]

    def lines(
        self,
        number: int,
        row: Mapping[str, str],
        place: Interval | None,
        answer: Float64[np.ndarray, "*base output"],
    ) -> Iterator[Mapping[str, object]]:
        """Yield the lines of a row of the input: one, or one for each base.

        Parameters
        ----------
        number
            Number of the row, counted from 1.
        row
            Cells of the row by column.
        place
            The interval of the genome that was read, or None.
        answer
            Its prediction (output,), or the predictions of its bases (base, output).
        """
        if not self.per_base:
            yield {**row, **prediction_row(self.config, answer)}
            return
        kept = {column: cell for column, cell in row.items() if column != self.sequence_column}
        for position, of_base in enumerate(answer):
            line = {**kept, _ROW: number, _POSITION: position}
            if place is not None:
                line[_BASE] = place.part(position, position + 1).start
            yield {**line, **prediction_row(self.config, of_base)}


def _logits(
    model: SequenceModel, sequences: list[TokenArray], tokens_per_batch: int
) -> list[Float64[np.ndarray, "*base output"]]:
    per_base = isinstance(model, PredictsEachToken)
    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
    device = next(model.parameters()).device
    found: list[np.ndarray] = []
    ordered = (sequences[place] for place in order)
    for batch in batches(ordered, tokens_per_batch, n_extra_tokens=model.config.n_positions(0)):
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
