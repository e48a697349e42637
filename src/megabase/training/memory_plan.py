"""Plan how many windows pass through the model at once, from the memory that they need."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from megabase.data.training_windows import LengthSchedule, Share, Stage
from megabase.errors import InputError
from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import LIBRARIES_BYTES, device_bytes, inference_bytes, training_bytes
from megabase.model.memory_mixer import features_bytes, memory_rules
from megabase.ops.native_memory import native_memory_bytes
from megabase.training.run_config import AdaptConfig, PretrainConfig

_log = logging.getLogger(__name__)

_GIB = 1 << 30
_CPU_TOKENS = 1 << 14  # tokens per pass; larger passes are slower on a CPU (figures in docs/log)
_SHARE = 0.8  # fraction of a device's memory that training may use


@dataclass(frozen=True)
class Plan:
    """A plan of how each step is cut into passes.

    Parameters
    ----------
    windows_per_pass
        Number of windows per pass, by the length of a window in tokens.
    gradient_checkpointing
        Whether only the input of each block is kept, and the rest is recomputed in backward.
    peak_gib
        Expected peak memory in GiB, including the libraries.
    """

    windows_per_pass: dict[int, int]
    gradient_checkpointing: bool
    peak_gib: float

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Plan":
        """Read a plan from its JSON record, in which lengths are strings."""
        passes = {int(length): n for length, n in record["windows_per_pass"].items()}
        return cls(passes, record["gradient_checkpointing"], record["peak_gib"])


def make_plan(
    config: PretrainConfig,
    shape: HyenaDNAConfig,
    schedule: LengthSchedule,
    *,
    n_processes: int,
    n_bytes_held: int = 0,
) -> Plan:
    """Plan passes of as many windows as fit in memory; recompute blocks only if not one fits.

    Parameters
    ----------
    config
        The configuration of the run.
    shape
        The configuration of the model.
    schedule
        Lengths and numbers of windows of each stage.
    n_processes
        Number of training processes that share the windows of a step.
    n_bytes_held
        Bytes of main memory that are held besides, which count if a CPU trains; `segment_bytes`.

    Raises
    ------
    InputError
        If one window of the longest length, or the requested number, does not fit in memory.
    """
    held = 0 if _trains_on_cuda(config) else n_bytes_held
    budget = memory_budget(config) - held
    asked = config.gradient_checkpointing
    choices = [False, True] if asked is None else [asked]
    passes = {
        choice: {
            stage.length: _windows(config, shape, stage, choice, budget)
            for stage in schedule.stages
        }
        for choice in choices
    }
    checkpointing = next((choice for choice in choices if all(passes[choice].values())), None)
    if checkpointing is None:
        raise InputError(_does_not_fit(config, shape, budget, choices[-1], held))
    if checkpointing and asked is None:
        _log.info("a window does not fit in memory otherwise: blocks are recomputed in backward")
    share = Share(n_processes=n_processes)
    shares = {
        stage.length: min(passes[checkpointing][stage.length], share.largest(stage.n_windows))
        for stage in schedule.stages
    }
    peak = max(
        planned_bytes(shape, length, n, checkpointing=checkpointing) for length, n in shares.items()
    )
    return Plan(shares, checkpointing, round((peak + held) / _GIB, 2))


_READERS = 2  # threads of `SegmentMixture`


def segment_bytes(config: PretrainConfig, shape: HyenaDNAConfig, longest_text: int) -> int:
    """Return the main memory of the segments from which the windows of a model with a memory come.

    Features of the open segments and of those opened next, and a memory for each thread that reads
    a genome. It is 0 for a model without a memory.

    Parameters
    ----------
    config
        The configuration of the run.
    shape
        The configuration of the model.
    longest_text
        Letters of the training regions of the largest genome.
    """
    rules = memory_rules(shape)
    if rules is None:
        return 0
    n_open = 2 * config.open_segments
    features = features_bytes(shape, n_open * min(config.segment_length, longest_text))
    return features + min(_READERS, n_open) * native_memory_bytes(rules, longest_text)


def rows_per_pass(config: AdaptConfig, shape: HyenaDNAConfig, longest: int) -> tuple[int, bool]:
    """Return how many rows of a step pass through the model at once.

    Parameters
    ----------
    config
        The configuration of the run.
    shape
        The configuration of the model.
    longest
        Number of tokens of the longest row.

    Returns
    -------
    n_rows, checkpointing
        Number of rows, and whether blocks are recomputed in backward.

    Raises
    ------
    InputError
        If one row of the longest length does not fit in memory.
    """
    budget, longest = memory_budget(config), shape.n_positions(longest)
    for checkpointing in (False, True):
        fit = _n_that_fit(config, shape, longest, checkpointing, budget)
        if fit:
            return min(fit, config.batch_size), checkpointing
    needed = planned_bytes(shape, longest, 1, checkpointing=True) / _GIB
    raise InputError(
        f"training on {longest:,} tokens at once needs about {needed:.1f} GiB, and may use "
        f"{budget / _GIB:.1f} GiB (memory_gib); use shorter sequences or a smaller model"
    )


def check_prediction(config: AdaptConfig, shape: HyenaDNAConfig, longest: int) -> None:
    """Validate before training that a row can be predicted after it.

    Parameters
    ----------
    config
        The configuration of the run.
    shape
        The configuration of the model.
    longest
        Number of tokens of the longest validation or test row.

    Raises
    ------
    InputError
        If one row of this length does not fit in memory.
    """
    budget, longest = memory_budget(config), shape.n_positions(longest)
    is_streamed = config.adapt != "lora" and not _trains_on_cuda(config)  # see `ops.backends`
    needed = LIBRARIES_BYTES + inference_bytes(shape, longest, streamed=is_streamed)
    if needed > budget:
        raise InputError(
            f"predicting a validation or test row of {longest:,} tokens needs about "
            f"{needed / _GIB:.1f} GiB, and may use {budget / _GIB:.1f} GiB (memory_gib); use "
            "shorter sequences or a smaller model"
        )


def memory_budget(config: PretrainConfig | AdaptConfig) -> float:
    """Return the memory in bytes that a training process may use."""
    return config.memory_gib * _GIB if config.memory_gib else _SHARE * _device_bytes(config)


def planned_bytes(
    shape: HyenaDNAConfig, length: int, n_windows: int, *, checkpointing: bool
) -> int:
    """Estimate the peak memory of a training process in bytes, including the libraries."""
    needed = training_bytes(shape, length, batch=n_windows, checkpointing=checkpointing)
    return LIBRARIES_BYTES + needed


def _windows(
    config: PretrainConfig, shape: HyenaDNAConfig, stage: Stage, checkpointing: bool, budget: float
) -> int:
    """Return how many windows fit, or the configured number if it fits; 0 if it does not."""
    wanted = config.windows_per_pass
    if wanted is not None:
        fit = _n_in_memory(shape, stage.length, checkpointing, budget)
        return min(wanted, stage.n_windows) if min(wanted, stage.n_windows) <= fit else 0
    return min(_n_that_fit(config, shape, stage.length, checkpointing, budget), stage.n_windows)


def _n_that_fit(
    config: PretrainConfig | AdaptConfig, shape: HyenaDNAConfig, length: int,
    checkpointing: bool, budget: float,
) -> int:  # fmt: skip
    """Return how many windows fit and do not slow a pass down; 0 if not even one fits."""
    fit = _n_in_memory(shape, length, checkpointing, budget)
    return fit if _trains_on_cuda(config) else min(fit, max(1, _CPU_TOKENS // length))


def _n_in_memory(shape: HyenaDNAConfig, length: int, checkpointing: bool, budget: float) -> int:
    # Memory grows linearly with the number of windows.
    one, two = (planned_bytes(shape, length, n, checkpointing=checkpointing) for n in (1, 2))
    return 1 + int((budget - one) // (two - one)) if one <= budget else 0


def _does_not_fit(
    config: PretrainConfig, shape: HyenaDNAConfig, budget: float, checkpointing: bool, held: int
) -> str:
    n, length = config.windows_per_pass or 1, config.context_length
    needed = (planned_bytes(shape, length, n, checkpointing=checkpointing) + held) / _GIB
    budget += held
    remedies = ["a shorter context_length", "a smaller preset"]
    remedies = [*remedies, "a shorter segment_length"] if held else remedies
    remedies = ["fewer windows_per_pass", *remedies] if n > 1 else remedies
    remedies = remedies if checkpointing else ["gradient_checkpointing=true", *remedies]
    return (
        f"training {config.start} on {n} x {length:,} tokens at once needs about {needed:.1f} "
        f"GiB, and may use {budget / _GIB:.1f} GiB (memory_gib); try {', '.join(remedies)}"
    )


def _trains_on_cuda(config: PretrainConfig | AdaptConfig) -> bool:
    return config.device == "auto" and torch.cuda.is_available()


def _device_bytes(config: PretrainConfig | AdaptConfig) -> float:
    """Return the memory in bytes that the device has for one process."""
    if _trains_on_cuda(config):
        return device_bytes(torch.device("cuda"))
    return device_bytes(torch.device("cpu")) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
