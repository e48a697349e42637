"""How fast this processor multiplies matrices, and whether bfloat16 helps."""

import logging
import time
from functools import cache

import torch

_log = logging.getLogger(__name__)

_SMALL, _FEW_TIMES = 256, 2


def product_rate(dtype: torch.dtype, *, size: int = 1024, times: int = 5) -> float:
    """Measure the speed of the product of two square matrices on the CPU.

    Parameters
    ----------
    dtype
        Dtype of the matrices.
    size
        Their number of rows.
    times
        Number of measurements, of which the fastest counts.

    Returns
    -------
    rate
        In 10⁹ floating-point operations per second.
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
    """Log a warning, once, if products in the requested bfloat16 are slower than in float32.

    On a CPU without bfloat16 instructions they can be a hundred times slower.

    Parameters
    ----------
    device
        The device of the model; only a CPU is measured.
    """
    if device.type != "cpu":
        return
    half, single = (
        product_rate(dtype, size=_SMALL, times=_FEW_TIMES)
        for dtype in (torch.bfloat16, torch.float32)
    )
    if half < single:
        _log.warning(
            "bfloat16 matrix products take %.0f times as long as float32 ones on this processor, "
            "which has no instructions for them; leave out precision, or set it to float32",
            single / half,
        )
