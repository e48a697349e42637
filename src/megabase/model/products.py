"""How fast this processor multiplies matrices, and whether bfloat16 is of use to it."""

import logging
import time
from functools import cache

import torch

_log = logging.getLogger(__name__)

_SMALL, _FEW_TIMES = 256, 2


def product_rate(dtype: torch.dtype, *, size: int = 1024, times: int = 5) -> float:
    """Time the product of two square matrices on the CPU.

    Parameters
    ----------
    dtype
        Of the matrices.
    size
        Their rows.
    times
        How often; the fastest counts.

    Returns
    -------
    rate
        Operations a second, in units of 10⁹.
    """
    a, b = (torch.ones(size, size, dtype=dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        torch.mm(a, b)
        fastest = min(fastest, time.perf_counter() - started)
    return 2e-9 * size**3 / fastest


@cache
def warn_of_slow_bfloat16(device: torch.device) -> None:
    """Log a line, once, where bfloat16, which is asked for, makes matrix products slower.

    A CPU without instructions for it multiplies a hundred times as slowly as in float32.
    """
    if device.type != "cpu":
        return
    half, single = (
        product_rate(dtype, size=_SMALL, times=_FEW_TIMES)
        for dtype in (torch.bfloat16, torch.float32)
    )
    if half < single:
        _log.warning(
            "bfloat16 products are %.0f times as slow as float32 on this processor, which has no "
            "instructions for them; leave out precision, or take float32",
            single / half,
        )
