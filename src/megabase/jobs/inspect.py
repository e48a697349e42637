"""Describe a model, and the memory and time of a request."""

import logging
import math
from typing import Any

from megabase.model.cost import inference_bytes, n_parameters, training_bytes
from megabase.model.fingerprint import fingerprint
from megabase.model.load import load
from megabase.model.probe import seconds_per_token
from megabase.model.weights import weights_sha256
from megabase.run.environment import LIBRARIES_BYTES
from megabase.run.output import record_of

_log = logging.getLogger(__name__)


def describe_model(name: str, *, length: int | None = None, batch: int = 1) -> dict[str, Any]:
    """Describe a model, and the memory and time that sequences of `length` tokens take.

    Memory includes the libraries; time is scaled from a short pass that is timed. If the output
    of the model is NaN or infinite, the fingerprint is None and a warning is logged.

    Parameters
    ----------
    name
        Folder, file or hub id of the model.
    length
        Tokens of a sequence; None: the context length.
    batch
        Sequences in a batch.
    """
    loaded = load(name)
    config = loaded.model.config
    asked = config.context_length if length is None else length
    longest = min(asked, config.max_seq_len)
    record = record_of(name)
    answer = fingerprint(loaded.model)
    if not math.isfinite(answer):
        _log.warning("%s: the model's output is NaN: its weights have diverged", name)
    return {
        "model": name,
        "revision": loaded.revision,
        "parameters": n_parameters(config),
        "context_length": config.context_length,
        "length": asked,
        "length_fits": asked <= config.context_length,
        "batch": batch,
        "inference_gib": _gib(inference_bytes(config, asked, batch=batch)),
        "training_gib": _gib(training_bytes(config, asked, batch=batch)),
        "training_gib_with_gradient_checkpointing": _gib(
            training_bytes(config, asked, batch=batch, checkpointing=True)
        ),
        "inference_seconds": round(seconds_per_token(loaded.model, longest) * asked * batch, 3),
        "weights_sha256": weights_sha256(loaded.model),
        "fingerprint": round(answer, 4) if math.isfinite(answer) else None,
        "fingerprint_was_checked": loaded.fingerprint is not None,
        "made_by": record and record.get("command"),
        "config": {
            key: value
            for key, value in sorted(config.to_diff_dict().items())
            if key not in ("architectures", "dtype", "transformers_version")
        },
    }


def _gib(n_bytes: int) -> float:
    return round((LIBRARIES_BYTES + n_bytes) / 2**30, 2)
