"""Launching a Triton kernel."""

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
    """Launch programs of a kernel on the device of its first argument.

    Parameters
    ----------
    kernel
        A function decorated with `triton.jit`.
    n_programs
        Number of programs; `program_id(0)` distinguishes them.
    arguments
        Arguments of the kernel; the first is a tensor.
    constants
        Compile-time constants of the kernel, and compiler options.
    """
    with torch.cuda.device_of(arguments[0]):
        kernel[(n_programs,)](*arguments, **constants)
