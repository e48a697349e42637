"""A fingerprint: the output for a fixed sequence, saved with the weights and checked at loading."""

import hashlib
import json
import math
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.language import LanguageModel, TokenReader

FILE = "fingerprint.json"
_LENGTH = 256
_TOLERANCE = 1e-4  # nats per base; rounding differs between machines and engines, but by less
_TOLERANCE_OF_HEAD = 1e-3  # for logits, or values in standard units

_KEY, _KEY_OF_HEAD = "log_likelihood", "logits"
_CHANGED = (
    "when it was saved: weights or configuration have changed since; download the folder again, "
    "or remove that file if the change was intended"
)


def fingerprint(model: LanguageModel) -> float:
    """Return the log-likelihood in nats of a fixed sequence, from its second base on.

    The sequence is the first 256 bases, or as many as the model reads, of the SHA-256 digests of
    "megabase 0", "megabase 1" and so on, two bits per base.

    Parameters
    ----------
    model
        The model, in training or evaluation mode.
    """
    tokens = _sequence(model.config.context_length)
    with _answering(model):
        # not by `forward`, which may have been wrapped on this instance to round its result
        tokens = tokens.to(next(model.parameters()).device)
        loss = model.next_token_loss(tokens[None])
    return -float(loss) * (len(tokens) - 1)


def head_fingerprint(model: TokenReader) -> list[float]:
    """Return the logits or values for the same sequence, or for its last token.

    The sequence is truncated to the longest that the model reads at once.

    Parameters
    ----------
    model
        A model with a head or a soft prompt, in training or evaluation mode.
    """
    tokens = _sequence(model.config.longest_sequence).to(next(model.parameters()).device)
    with _answering(model):
        output = type(model).forward(model, tokens[None])  # pyright: ignore[reportArgumentType]
    return output.logits.flatten(0, -2)[-1].tolist()


@contextmanager
def _answering(model: TokenReader) -> Generator[None]:
    """Put a model into evaluation mode, without gradients, within a context."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(was_training)


def write_fingerprint(model: TokenReader, folder: Path) -> None:
    """Write the fingerprint of a model to `FILE` in its folder."""
    if isinstance(model, LanguageModel):
        kept: dict[str, object] = {_KEY: fingerprint(model)}
    else:
        kept = {_KEY_OF_HEAD: head_fingerprint(model)}
    (folder / FILE).write_text(json.dumps(kept) + "\n", encoding="utf-8")


def check_fingerprint(model: LanguageModel, file: Path) -> float:
    """Return the saved log-likelihood in nats, after comparing it with that of the model.

    Parameters
    ----------
    model
        The loaded model.
    file
        The saved fingerprint.

    Raises
    ------
    InputError
        If the model has another fingerprint, or the file cannot be read.
    """
    kept = _kept(file, _KEY)
    now = [fingerprint(model)]
    if not _is_near(now, kept, [_TOLERANCE * _LENGTH]):
        raise InputError(
            f"the model next to {file} has a fingerprint of {now[0]:.4f} nats; it had "
            f"{kept[0]:.4f} {_CHANGED}"
        )
    return kept[0]


def check_head_fingerprint(model: TokenReader, file: Path) -> list[float]:
    """Return the saved logits or values, after comparing them with those of the model.

    Parameters
    ----------
    model
        The loaded model.
    file
        The saved fingerprint.

    Raises
    ------
    InputError
        If the model has another fingerprint, or the file cannot be read.
    """
    kept, now = _kept(file, _KEY_OF_HEAD), head_fingerprint(model)
    scale = model.config.target_scale or [1.0] * len(now)
    if not _is_near(now, kept, [_TOLERANCE_OF_HEAD * each for each in scale]):
        raise InputError(
            f"the model next to {file} has the fingerprint {now}; it had {kept} {_CHANGED}"
        )
    return kept


def _kept(file: Path, key: str) -> list[float]:
    """Read the number or numbers under a key of a saved fingerprint."""
    try:
        kept = np.asarray(json.loads(file.read_text(encoding="utf-8"))[key], dtype=float)
        return np.atleast_1d(kept).ravel().tolist()
    except (ValueError, LookupError, TypeError, ArithmeticError, OSError, RecursionError) as error:
        raise InputError(f"{file} has no valid {key}: {error}") from error


def _is_near(now: list[float], kept: list[float], tolerances: list[float]) -> bool:
    """Return whether all numbers agree; a model that had diverged must be NaN both times."""
    return len(now) == len(kept) and all(
        abs(one - other) <= tolerance or (math.isnan(one) and math.isnan(other))
        for one, other, tolerance in zip(now, kept, tolerances, strict=True)
    )


def _sequence(longest: int) -> torch.Tensor:
    length = min(_LENGTH, longest)
    n_digests = -(-length // 128)
    digests = b"".join(hashlib.sha256(f"megabase {i}".encode()).digest() for i in range(n_digests))
    bases = [byte >> shift & 3 for byte in digests for shift in (6, 4, 2, 0)]
    return torch.tensor([DNA_VOCABULARY.base_ids[base] for base in bases[:length]])
