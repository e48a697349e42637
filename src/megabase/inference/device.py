"""Where a model runs: the devices that torch finds here, and what the CPU can do."""

from typing import NamedTuple

import torch

from megabase.errors import InputError
from megabase.model.products import product_rate

_WORTHWHILE = 1.3
_SMALL = 256  # rows of matrices
_HOPELESS = 10  # times as slow, on small matrices


def choose_device(name: str = "auto") -> torch.device:
    """Give the device of a name; `auto` is the accelerator if there is one, else the CPU.

    Raises
    ------
    InputError
        If there is no such device here.
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
    """Say what torch finds: the CPU with its threads, and each accelerator or why there is none."""
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
    """Operations a second of matrix products, in units of 10⁹, on so many threads."""

    n_threads: int
    on_one: float
    on_all: float
    bfloat16: float

    @property
    def advice(self) -> str:
        """What to do where more threads are little or no help, or bfloat16 is none."""
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
    if bfloat16 * _HOPELESS > on_all:  # else large matrices would take seconds to say the same
        bfloat16 = product_rate(torch.bfloat16)
    return ProductRates(n_threads, on_one, on_all, bfloat16)
