"""Choice between the compiled steps and those of torch."""

import logging
from functools import cache

import torch
from torch import Tensor

from megabase.ops.native import SOURCES, NativeSteps
from megabase.ops.steps import Steps
from megabase.run.compiler import compile_here

_log = logging.getLogger(__name__)


def steps_for(like: Tensor) -> Steps:
    """Return the fastest steps for streams of the device and dtype of `like`."""
    can = like.device.type == "cpu" and like.dtype is torch.float32
    return (_compiled()[0] if can else None) or Steps()


def why_not_compiled() -> str | None:
    """Return why the steps cannot be compiled on this computer, None if they can."""
    native, why_not = _compiled()
    return why_not if native is None else None


def about_steps(dtype: torch.dtype) -> str:
    """Describe the steps for a dtype on a CPU, and the reason."""
    if dtype is not torch.float32:
        return f"by torch, because the dtype is {dtype}"
    why_not = why_not_compiled()
    return f"by torch, not compiled: {why_not}" if why_not else "compiled by gcc"


@cache
def _compiled() -> tuple[NativeSteps | None, str]:
    library, why_not = compile_here(SOURCES)
    if library is None:
        return None, why_not
    try:
        return NativeSteps(library), ""
    except OSError as error:  # files of the cache cannot be executed, or the library is wrong
        _log.warning("the compiled steps are not used: %s", error)
        return None, str(error)
