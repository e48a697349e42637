"""What a model is, what a request of it will cost, and what this computer has."""

from typing import Any

from megabase.inference.device import describe_devices, time_products
from megabase.model.cost import inference_bytes, n_parameters, training_bytes
from megabase.model.fingerprint import fingerprint
from megabase.model.load import load, weights_sha256
from megabase.model.probe import seconds_per_token
from megabase.model.steps import why_not_compiled
from megabase.run.environment import LIBRARIES_BYTES, Finding, extras, storage
from megabase.run.location import cache_folder
from megabase.run.output import record_of
from megabase.run.provenance import machine, versions


def describe_model(name: str, *, length: int | None = None, batch: int = 1) -> dict[str, Any]:
    """Describe a model, and the memory and time that sequences of `length` tokens take.

    Memory includes the libraries; the time is scaled from a short pass that is timed.

    Parameters
    ----------
    name
        What `model.load` takes.
    length
        Tokens; None for the context length.
    batch
        Sequences at once.
    """
    loaded = load(name)
    config = loaded.model.config
    asked = config.context_length if length is None else length
    longest = min(asked, config.max_seq_len)
    record = record_of(name)
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
        "fingerprint": round(fingerprint(loaded.model), 4),
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


def describe_computer() -> list[Finding]:
    """List versions, devices, extras and places, each with what follows where it is off."""
    return [
        Finding("machine", machine()),
        *(Finding(name, value) for name, value in versions().items()),
        *(Finding(name, value) for name, value in describe_devices().items()),
        _products(),
        _steps(),
        *extras(),
        *storage(cache_folder()),
    ]


def _products() -> Finding:
    rates = time_products()
    figures = (
        f"{rates.on_one:,.0f} G/s on 1 thread, {rates.on_all:,.0f} on {rates.n_threads}, "
        f"{rates.bfloat16:,.1f} in bfloat16"
    )
    return Finding("products", figures, rates.advice)


def _steps() -> Finding:
    if why_not := why_not_compiled():
        return Finding("steps", "not compiled", f"slower on a CPU: {why_not}")
    return Finding("steps", "compiled by gcc")
