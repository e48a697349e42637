"""The one way in which a kernel is started."""

from typing import Any

import torch
from torch import Tensor
from triton.runtime import KernelInterface


def launch(
    kernel: KernelInterface[Any],
    n_programs: int,
    *arguments: Tensor | int | float,
    **constants: int | str,
) -> None:
    """Start programs of a kernel, on the device that its first argument is on.

    Parameters
    ----------
    kernel
        A function below `triton.jit`.
    n_programs
        How many programs, which tell themselves apart by `program_id` 0.
    arguments
        The kernel's arguments; the first is a tensor.
    constants
        What the kernel is compiled for, and options of the compiler.
    """
    with torch.cuda.device_of(arguments[0]):
        kernel[(n_programs,)](*arguments, **constants)
