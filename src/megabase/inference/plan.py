"""Where a model runs, and the memory and time of a request."""

import logging
from dataclasses import replace
from typing import NamedTuple

import torch

from megabase.errors import InputError, counted
from megabase.inference.predictor import check_precision
from megabase.model.footprint import (
    LIBRARIES_BYTES,
    device_bytes,
    generation_bytes,
    inference_bytes,
    n_parameters,
    seconds_per_token,
    training_bytes,
)
from megabase.model.language import LanguageModel, TokenReader
from megabase.model.products import product_rate, warn_of_slow_bfloat16

_WORTHWHILE = 1.3  # speed-up below which more threads are reported to be of little help
_SMALL = 256  # rows of the matrices of a first, quick measurement
_HOPELESS = 10  # slowdown on small matrices above which large ones are not timed


def choose_device(name: str = "auto") -> torch.device:
    """Return the device with this name.

    Parameters
    ----------
    name
        ``auto`` for the accelerator if there is one, else the CPU; or a name that
        `torch.device` takes, such as ``cuda:1``.

    Raises
    ------
    InputError
        If this computer has no such device.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used ({reason}); try auto or cpu") from error
    return device


def place_model(
    model: TokenReader,
    device: torch.device,
    *,
    max_memory_gib: float | None = None,
    precision: str = "float32",
) -> None:
    """Move a model to a device, in place, and set the limits of its engine.

    Parameters
    ----------
    model
        A language model, or a fine-tuned model.
    device
        The device.
    max_memory_gib
        The most memory that the process may take on a CPU, in GiB; None: no limit, and the
        fastest implementation is used.
    precision
        One of `predictor.PRECISIONS`; bfloat16 on a CPU only.

    Raises
    ------
    InputError
        If libraries and weights alone exceed the limit, or the precision is unknown or not
        supported on the device.
    """
    check_precision(precision)
    if precision == "bfloat16":
        warn_of_slow_bfloat16(device)
    model.to(device)
    model.backbone.engine = replace(
        model.backbone.engine,
        max_bytes=None if max_memory_gib is None else bytes_beside(model, max_memory_gib),
        matmul_dtype=torch.bfloat16 if precision == "bfloat16" else None,
    )


def default_batch_tokens(device: torch.device) -> int:
    """Return the default of the most tokens in a batch, padding included.

    On a CPU (AMD EPYC), batches of 8,192 tokens take 0.91 of the time of windows of 1,024 tokens
    that are read one by one on one thread, and 0.84 on two; for 256 tokens it is 0.75, and larger
    batches are slower (`benchmarks/batches.py`). The value for a GPU was not measured.
    """
    return 1 << 13 if device.type == "cpu" else 1 << 17


def describe_devices() -> dict[str, str]:
    """Describe the CPU with its threads, and each accelerator or why there is none."""
    found = {"cpu": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bfloat16 = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16"
        found[f"cuda:{index}"] = (
            f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bfloat16}"
        )
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    if len(found) == 1:
        built = torch.version.cuda
        why = "no GPU or no driver" if built else "this build of torch is for the CPU only"
        found["accelerator"] = f"off: {why}"
    return found


class ProductRates(NamedTuple):
    """Speed of matrix products, in 10⁹ operations per second.

    Parameters
    ----------
    n_threads
        Threads that torch uses.
    on_one, on_all
        Speed in float32 on one thread and on all of them.
    bfloat16
        Speed in bfloat16 on all threads.
    """

    n_threads: int
    on_one: float
    on_all: float
    bfloat16: float

    @property
    def advice(self) -> str:
        """Advice where more threads or bfloat16 do not speed up the products; else empty."""
        advice = []
        if self.n_threads > 1 and self.on_all <= _WORTHWHILE * self.on_one:
            advice.append(
                "more threads hardly help: other work may hold the cores; end it, or set "
                "OMP_WAIT_POLICY=PASSIVE, or OMP_NUM_THREADS=1"
            )
        if self.bfloat16 < self.on_all:
            advice.append("bfloat16 is slower here: leave precision at float32")
        return "; ".join(advice)


def time_products() -> ProductRates:
    """Time matrix products in float32 on one thread and on all, and in bfloat16 on all."""
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        on_one = product_rate(torch.float32)
    finally:
        torch.set_num_threads(n_threads)
    on_all = product_rate(torch.float32)
    bfloat16 = product_rate(torch.bfloat16, size=_SMALL)
    if bfloat16 * _HOPELESS > on_all:  # otherwise large matrices take seconds to show the same
        bfloat16 = product_rate(torch.bfloat16)
    return ProductRates(n_threads, on_one, on_all, bfloat16)


_log = logging.getLogger(__name__)

_GIB = 1 << 30
_AT_ONCE = 16  # sequences; with more, the sums of the long filters dominate and none is gained


class InferencePlan(NamedTuple):
    """Estimated cost of a request.

    Parameters
    ----------
    peak_gib
        Peak memory in GiB, libraries included.
    seconds
        Time in seconds.
    engine
        Implementation of the convolutions; it is logged with ``--verbose`` only.
    """

    peak_gib: float
    seconds: float
    engine: str

    def __str__(self) -> str:
        return f"about {self.peak_gib:.1f} GiB at the peak and {self.seconds:,.0f} s"


def plan_inference(
    model: TokenReader,
    *,
    longest: int,
    at_once: int,
    n_tokens: int,
    n_blocks: int | None = None,
    n_bytes_held: int = 0,
) -> InferencePlan:
    """Estimate forward passes over many sequences from the time of a short one.

    Parameters
    ----------
    model
        The model, on its device.
    longest
        Tokens of the longest sequence.
    at_once
        The most tokens in a batch; a longer sequence is a batch by itself.
    n_tokens
        Tokens of all sequences.
    n_blocks
        Blocks that are computed; None: all.
    n_bytes_held
        Bytes that the caller holds in main memory; they count if the device is a CPU.

    Raises
    ------
    InputError
        If the longest sequence does not fit into the memory of the device.
    """
    first = next(model.parameters())
    with torch.inference_mode():
        wide = torch.promote_types(first.dtype, torch.float32)
        choice = model.backbone.choose_engine(torch.empty(0, dtype=wide, device=first.device))
    # `positions` counts soft prompt tokens as well; the batch is the number of sequences of the
    # longest length in it, rounded up, and not more than all sequences together amount to.
    positions = model.config.n_positions(longest)
    needed = LIBRARIES_BYTES + inference_bytes(
        model.config,
        positions,
        batch=-(-min(at_once, n_tokens * positions // longest) // positions),
        streamed=choice.name == "streamed",
        max_bytes=model.backbone.engine.max_bytes,
    )
    if first.device.type == "cpu":
        needed += n_bytes_held
    available = device_bytes(first.device)
    if needed > available:
        raise InputError(
            f"a sequence of {longest:,} tokens needs about {needed / _GIB:.1f} GiB of memory, and "
            f"the device has {available / _GIB:.1f}; use shorter sequences or a smaller model"
        )
    share = 1.0 if n_blocks is None else n_blocks / model.config.n_layer
    seconds = share * n_tokens * seconds_per_token(model, longest)
    _log.debug("the engine is %s", choice)
    return InferencePlan(round(needed / _GIB, 3), seconds, str(choice))


def plan_gradients(model: LanguageModel, *, longest: int, n_tokens: int) -> InferencePlan:
    """Estimate gradients of inputs, one sequence at a time, from the time of a short one.

    This is an overestimate: it includes gradients of the weights, which are not computed.

    Parameters
    ----------
    model
        The model, on its device; it is in evaluation mode afterwards.
    longest
        Tokens of the longest sequence.
    n_tokens
        Tokens of all sequences.

    Raises
    ------
    InputError
        If the longest sequence does not fit into the memory of the device.
    """
    first = next(model.parameters())
    with torch.enable_grad():
        choice = model.backbone.choose_engine(torch.empty(0, device=first.device))
    needed = LIBRARIES_BYTES + training_bytes(model.config, longest)
    available = device_bytes(first.device)
    if needed > available:
        raise InputError(
            f"the gradient of {longest:,} tokens needs about {needed / _GIB:.1f} GiB of memory, "
            f"and the device has {available / _GIB:.1f}; use shorter windows or a smaller model"
        )
    seconds = n_tokens * seconds_per_token(model, longest, training=True)
    model.eval()
    _log.debug("the engine for gradients is %s", choice)
    return InferencePlan(round(needed / _GIB, 3), seconds, str(choice))


class GenerationPlan(NamedTuple):
    """Estimated cost of generating sequences.

    Parameters
    ----------
    peak_gib
        Peak memory in GiB, libraries included.
    at_once
        Sequences in a batch.
    """

    peak_gib: float
    at_once: int

    def __str__(self) -> str:
        n = counted(self.at_once, "sequence")
        return f"about {self.peak_gib:.1f} GiB at the peak, {n} at a time"


def plan_generation(
    model: LanguageModel,
    *,
    prompt_length: int,
    length: int,
    n_sequences: int,
    batch_tokens: int | None = None,
) -> GenerationPlan:
    """Choose how many sequences to generate in a batch that takes at most half of the memory.

    Parameters
    ----------
    model
        The model, on its device.
    prompt_length
        Bases of the longest prompt.
    length
        Bases to add to each prompt.
    n_sequences
        Total number of sequences.
    batch_tokens
        The most tokens of prompts and new bases in a batch; a longer sequence is a batch by
        itself. None: no limit.

    Raises
    ------
    InputError
        If one sequence does not fit into the memory of the device.
    """
    available = device_bytes(next(model.parameters()).device)

    def needed(batch: int) -> int:
        beside = generation_bytes(model.config, prompt_length, length, batch=batch)
        return LIBRARIES_BYTES + beside

    if needed(1) > available:
        raise InputError(
            f"generating {length:,} bp needs about {needed(1) / _GIB:.1f} GiB of memory, and the "
            f"device has {available / _GIB:.1f}; use a smaller length or model"
        )
    at_once = min(n_sequences, _AT_ONCE)
    if batch_tokens is not None:
        at_once = max(1, min(at_once, batch_tokens // (prompt_length + length)))
    while at_once > 1 and needed(at_once) > available / 2:
        at_once -= 1
    return GenerationPlan(round(needed(at_once) / _GIB, 3), at_once)


def bytes_beside(model: TokenReader, max_memory_gib: float) -> int:
    """Return the bytes that a memory limit leaves to the tensors of a forward pass.

    Parameters
    ----------
    model
        The model; its weights count towards the limit.
    max_memory_gib
        The most memory of the whole process, in GiB.

    Raises
    ------
    InputError
        If nothing is left.
    """
    fixed = LIBRARIES_BYTES + 4 * n_parameters(model.config)
    if max_memory_gib * _GIB <= fixed:
        raise InputError(
            f"libraries and weights alone take about {fixed / _GIB:.1f} GiB, and the memory limit "
            f"is {max_memory_gib:g} GiB; raise it"
        )
    return int(max_memory_gib * _GIB) - fixed
