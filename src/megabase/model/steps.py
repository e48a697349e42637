"""The steps between the products of a layer: compiled where this computer can, else torch's."""

import logging
from functools import cache

import torch
from torch import Tensor

from megabase.ops.native import SOURCES, NativeSteps
from megabase.ops.steps import Steps
from megabase.run.compiler import compile_here

_log = logging.getLogger(__name__)


def steps_for(like: Tensor) -> Steps:
    """Give the fastest steps for streams of the device and dtype of a tensor."""
    can = like.device.type == "cpu" and like.dtype is torch.float32
    return (_compiled()[0] if can else None) or Steps()


def why_not_compiled() -> str | None:
    """Say what keeps the steps from being compiled here, or None if nothing does."""
    native, why_not = _compiled()
    return why_not if native is None else None


def about_steps(dtype: torch.dtype) -> str:
    """Say which they are for a dtype, and why."""
    if dtype is not torch.float32:
        return f"by torch, for they are {dtype}"
    why_not = why_not_compiled()
    return f"by torch, not compiled: {why_not}" if why_not else "compiled by gcc"


@cache
def _compiled() -> tuple[NativeSteps | None, str]:
    library, why_not = compile_here(SOURCES)
    if library is None:
        return None, why_not
    try:
        return NativeSteps(library), ""
    except OSError as error:  # a cache whose files may not be run, or a library unlike its source
        _log.warning("the compiled steps are not used: %s", error)
        return None, str(error)
