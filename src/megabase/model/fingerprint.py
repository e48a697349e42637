"""The answer to a fixed sequence, kept beside the weights: a loaded model must give it again."""

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
_TOLERANCE = 1e-4  # nats a base: machines and engines round otherwise, and by less
_TOLERANCE_OF_HEAD = 1e-3  # of a logit, or of a value in standard units

_KEY, _KEY_OF_HEAD = "log_likelihood", "logits"
_CHANGED = (
    "when it was saved: weights or configuration have changed since; fetch the folder anew, or "
    "remove that file if the change was meant"
)


def fingerprint(model: LanguageModel) -> float:
    """Give the log-likelihood in nats of a fixed sequence, from its second base on.

    The sequence is the first 256 bases, or as many as the model reads, of the SHA-256 of
    "megabase 0", "megabase 1" and so on, two bits a base.

    Parameters
    ----------
    model
        The model, in evaluation mode or not.
    """
    tokens = _sequence(model.config.context_length)
    with _answering(model):
        # not by forward: that of an instance may have been wrapped to round what it computes
        tokens = tokens.to(next(model.parameters()).device)
        loss = model.next_token_loss(tokens[None])
    return -float(loss) * (len(tokens) - 1)


def head_fingerprint(model: TokenReader) -> list[float]:
    """Give the logits or values of the same sequence, or those of its last token.

    It is as much of the sequence as is read at once.
    """
    tokens = _sequence(model.config.longest_sequence).to(next(model.parameters()).device)
    with _answering(model):
        output = type(model).forward(model, tokens[None])  # pyright: ignore[reportArgumentType]
    return output.logits.flatten(0, -2)[-1].tolist()


@contextmanager
def _answering(model: TokenReader) -> Generator[None]:
    """Put a model into evaluation mode without gradients, for so long."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(was_training)


def write_fingerprint(model: TokenReader, folder: Path) -> None:
    """Keep the answer in the folder of a model."""
    if isinstance(model, LanguageModel):
        kept: dict[str, object] = {_KEY: fingerprint(model)}
    else:
        kept = {_KEY_OF_HEAD: head_fingerprint(model)}
    (folder / FILE).write_text(json.dumps(kept) + "\n", encoding="utf-8")


def check_fingerprint(model: LanguageModel, file: Path) -> float:
    """Give the answer that was kept, if the model still gives it.

    Raises
    ------
    InputError
        If it does not, or what was kept cannot be read.
    """
    kept = _kept(file, _KEY)
    now = [fingerprint(model)]
    if not _is_near(now, kept, [_TOLERANCE * _LENGTH]):
        raise InputError(
            f"the model beside {file} gives a fixed sequence {now[0]:.4f} nats, and gave it "
            f"{kept[0]:.4f} {_CHANGED}"
        )
    return kept[0]


def check_head_fingerprint(model: TokenReader, file: Path) -> list[float]:
    """Give the logits or values that were kept, if the model still gives them.

    Raises
    ------
    InputError
        As of `check_fingerprint`.
    """
    kept, now = _kept(file, _KEY_OF_HEAD), head_fingerprint(model)
    scale = model.config.target_scale or [1.0] * len(now)
    if not _is_near(now, kept, [_TOLERANCE_OF_HEAD * each for each in scale]):
        raise InputError(
            f"the model beside {file} answers a fixed sequence with {now}, and answered it with "
            f"{kept} {_CHANGED}"
        )
    return kept


def _kept(file: Path, key: str) -> list[float]:
    """Read what was kept under a key, one number or several."""
    try:
        kept = np.asarray(json.loads(file.read_text(encoding="utf-8"))[key], dtype=float)
        return np.atleast_1d(kept).ravel().tolist()
    except (ValueError, LookupError, TypeError, ArithmeticError, OSError, RecursionError) as error:
        raise InputError(f"{file} holds no {key}: {error}") from error


def _is_near(now: list[float], kept: list[float], tolerances: list[float]) -> bool:
    """Whether all are as near; one that had diverged when it was saved has no number, as now."""
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
