"""Devices that torch finds on this computer, and the speed of matrix products on its CPU."""

from typing import NamedTuple

import torch

from megabase.errors import InputError
from megabase.model.products import product_rate

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
