"""The answer to a fixed sequence, kept beside the weights: a loaded model must give it again."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, cast

import torch

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.modeling import HyenaDNAForCausalLM

FILE = "fingerprint.json"
_LENGTH = 256
_TOLERANCE = 1e-4  # nats a base: machines and engines round otherwise, and by less


def fingerprint(model: HyenaDNAForCausalLM) -> float:
    """Give the log-likelihood in nats of a fixed sequence, from its second base on.

    The sequence is the first 256 bases, or as many as the model reads, of the SHA-256 of
    "megabase 0", "megabase 1" and so on, two bits a base.

    Parameters
    ----------
    model
        The model, in evaluation mode or not.
    """
    was_training, device = model.training, next(model.parameters()).device
    tokens = _sequence(min(_LENGTH, model.config.context_length)).to(device)
    with torch.no_grad():
        # by the class: an instance may have been wrapped to round what it computes
        output = HyenaDNAForCausalLM.forward(model.eval(), tokens[None], labels=tokens[None])
    model.train(was_training)
    return -float(cast("Any", output).loss) * (len(tokens) - 1)


def write_fingerprint(model: HyenaDNAForCausalLM, folder: Path) -> None:
    """Keep the answer in the folder of a model."""
    (folder / FILE).write_text(json.dumps({"log_likelihood": fingerprint(model)}) + "\n")


def check_fingerprint(model: HyenaDNAForCausalLM, file: Path) -> float:
    """Give the answer that was kept, if the model still gives it.

    Raises
    ------
    InputError
        If it does not, or what was kept cannot be read.
    """
    try:
        kept = float(json.loads(file.read_text())["log_likelihood"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} holds no log_likelihood: {error}") from error
    now = fingerprint(model)
    # one that had diverged when it was saved answers with no number, then as now
    if not (abs(now - kept) <= _TOLERANCE * _LENGTH or (math.isnan(now) and math.isnan(kept))):
        raise InputError(
            f"the model beside {file} gives a fixed sequence {now:.4f} nats, and gave it "
            f"{kept:.4f} when it was saved: weights or configuration have changed since; fetch "
            "the folder anew, or remove that file if the change was meant"
        )
    return kept


def _sequence(length: int) -> torch.Tensor:
    n_digests = -(-length // 128)
    digests = b"".join(hashlib.sha256(f"megabase {i}".encode()).digest() for i in range(n_digests))
    bases = [byte >> shift & 3 for byte in digests for shift in (6, 4, 2, 0)]
    return torch.tensor([DNA_VOCABULARY.base_ids[base] for base in bases[:length]])
