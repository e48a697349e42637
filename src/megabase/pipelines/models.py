"""What a model is and costs, what this computer has, and conversion of model folders."""

import logging
import math
from pathlib import Path
from typing import Any

from megabase.inference.plan import describe_devices, time_products
from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import (
    LIBRARIES_BYTES,
    inference_bytes,
    n_parameters,
    seconds_per_token,
    training_bytes,
)
from megabase.model.load import load, save, save_published
from megabase.model.memory_mixer import memory_rules
from megabase.model.reading import fingerprint, weights_sha256
from megabase.model.released import check_hf
from megabase.ops.backends import why_memory_not_compiled, why_not_compiled
from megabase.ops.native_memory import native_memory_bytes
from megabase.pipelines.preflight import check_convert
from megabase.runtime.artifacts import Output, atomic_files, exclusive_lock, record_of
from megabase.runtime.environment import Finding, extras, machine, storage, versions
from megabase.runtime.location import cache_folder


def describe_computer() -> list[Finding]:
    """Return versions, devices, extras and folders, each with advice if it is missing or slow."""
    return [
        Finding("machine", machine()),
        *(Finding(name, value) for name, value in versions().items()),
        *(Finding(name, value) for name, value in describe_devices().items()),
        _products(),
        _steps(),
        _memory(),
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


def _memory() -> Finding:
    if why_not := why_memory_not_compiled():
        return Finding(
            "model memory", "not compiled", f"hundreds of times slower, in Python: {why_not}"
        )
    return Finding("model memory", "compiled by gcc")


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
        **_described_memory(config, asked),
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


def _described_memory(config: HyenaDNAConfig, length: int) -> dict[str, Any]:
    """Describe the memory of a model, and what one takes for a sequence; empty without one."""
    rules = memory_rules(config)
    if rules is None:
        return {}
    parts = []
    if rules.orders:
        parts.append(f"counts of orders {', '.join(map(str, rules.orders))}")
    if rules.pointer_orders:
        seeds = ", ".join(map(str, rules.pointer_orders))
        parts.append(f"at most {rules.n_pointers} pointers from seeds of {seeds} letters")
    return {
        "memory": "; ".join(parts),
        "memory_features": rules.n_features,
        "memory_gib": round(native_memory_bytes(rules, length) / 2**30, 2),
    }


def _gib(n_bytes: int) -> float:
    return round((LIBRARIES_BYTES + n_bytes) / 2**30, 2)


def convert(
    source: str, output: Path, *, layout: str = "megabase", overwrite: bool = False
) -> None:
    """Write a model as a megabase folder, or in the layout of the released ``-hf`` folders.

    Parameters
    ----------
    source
        Folder, file or hub id of the model.
    output
        The folder to write.
    layout
        ``megabase``, or ``hf`` for the layout of the released folders.
    overwrite
        Whether an existing output may be replaced.

    Raises
    ------
    InputError
        If the source is not a HyenaDNA model, or the layout cannot represent its architecture.
    """
    check_convert(source, output, layout=layout)
    loaded = load(source)
    model = loaded.model
    if layout == "hf":
        check_hf(model.config)
    request = {"command": "convert", "model": weights_sha256(model), "layout": layout}
    place = Output(output, request, is_folder=True, overwrite=overwrite)
    if place.is_finished:
        return
    record = record_of(source)
    trained = record["results"].get("genomes", {}) if record else {}
    with exclusive_lock(output):
        place.start()
        with atomic_files(output) as folder:
            (save if layout == "megabase" else save_published)(model, folder)
        place.finish(source=source, revision=loaded.revision, genomes=trained)
    _log.info("%s: wrote %s in the %s layout", source, output, layout)
