"""Adding to the residual stream and normalising the sum, in one pass over memory."""

from typing import Any, cast, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Float32
from torch import Tensor

from megabase.ops.gated_conv import refuse_second_derivative
from megabase.ops.triton.launch import launch

_WIDEST = 4096  # most numbers of a row that a program can hold
_TILE = 2048  # numbers that a program holds at once, unless a row has more
_PROGRAMS = 512  # most programs of the backward pass, each with its own sums for weight and bias
_WARPS = 8  # warps that hold a tile; fewer spill registers

# Triton compiles functions from their source, so a runtime type checker must not wrap them.


@triton.jit
@no_type_check
def _forward_kernel(
    r: tl.tensor,
    y: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    total: tl.tensor,
    normed: tl.tensor,
    mean: tl.tensor,
    scale: tl.tensor,
    n_rows: tl.tensor,
    width: tl.tensor,
    eps: tl.tensor,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    inside = (row < n_rows)[:, None] & (column < width)[None, :]
    at = row[:, None] * width + column[None, :]
    s = tl.load(r + at, mask=inside, other=0.0)
    s += tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(total + at, s, mask=inside)
    m = tl.sum(s, axis=1) / width
    centred = tl.where(inside, s - m[:, None], 0.0)
    k = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / width + eps)
    tl.store(mean + row, m, mask=row < n_rows)
    tl.store(scale + row, k, mask=row < n_rows)
    w = tl.load(weight + column, mask=column < width, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=column < width, other=0.0).to(tl.float32)
    out = centred * k[:, None] * w[None, :] + b[None, :]
    tl.store(normed + at, out.to(normed.dtype.element_ty), mask=inside)


@triton.jit
@no_type_check
def _backward_kernel(
    d_total: tl.tensor,
    d_normed: tl.tensor,
    weight: tl.tensor,
    total: tl.tensor,
    mean: tl.tensor,
    scale: tl.tensor,
    d_r: tl.tensor,
    d_y: tl.tensor,
    d_weight: tl.tensor,
    d_bias: tl.tensor,
    n_rows: tl.tensor,
    width: tl.tensor,
    TILES: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    program = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    w = tl.load(weight + column, mask=column < width, other=0.0).to(tl.float32)
    w_sum = tl.zeros((BLOCK,), dtype=tl.float32)
    b_sum = tl.zeros((BLOCK,), dtype=tl.float32)
    for tile in range(TILES):
        row = (program * TILES + tile) * ROWS + tl.arange(0, ROWS)
        inside = (row < n_rows)[:, None] & (column < width)[None, :]
        at = row[:, None] * width + column[None, :]
        m = tl.load(mean + row, mask=row < n_rows, other=0.0)
        k = tl.load(scale + row, mask=row < n_rows, other=0.0)
        s = tl.load(total + at, mask=inside, other=0.0)
        x = tl.where(inside, (s - m[:, None]) * k[:, None], 0.0)
        g = tl.load(d_normed + at, mask=inside, other=0.0).to(tl.float32)
        w_sum += tl.sum(g * x, axis=0)
        b_sum += tl.sum(g, axis=0)
        g = g * w[None, :]
        along = tl.sum(g * x, axis=1) / width
        d = (g - (tl.sum(g, axis=1) / width)[:, None] - x * along[:, None]) * k[:, None]
        d += tl.load(d_total + at, mask=inside, other=0.0)
        tl.store(d_r + at, d, mask=inside)
        tl.store(d_y + at, d.to(d_y.dtype.element_ty), mask=inside)
    tl.store(d_weight + program * width + column, w_sum, mask=column < width)
    tl.store(d_bias + program * width + column, b_sum, mask=column < width)


def add_norm(
    r: Float32[Tensor, "row d_model"],
    y: Float[Tensor, "row d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    eps: float,
) -> tuple[Float32[Tensor, "row d_model"], Float[Tensor, "row d_model"]]:
    """Add the output of a branch to the residual stream, and normalise the sum.

    Parameters
    ----------
    r
        The residual stream.
    y
        The output of a branch, in float32 or narrower.
    weight, bias
        Gain and bias of each channel of the norm.
    eps
        Added to the variance of a row.

    Returns
    -------
    total
        r + y.
    normed
        The layer norm of each row of `total`, in the dtype of `y`.

    Raises
    ------
    ValueError
        If a row has more than 4,096 numbers.

    Source
    ------
    Ba et al. 2016, "Layer Normalization", arXiv:1607.06450v1, Section 3.
    """
    if r.shape[1] > _WIDEST:
        raise ValueError(f"a row must have at most {_WIDEST} numbers; got {r.shape[1]}")
    return cast("tuple[Tensor, Tensor]", _AddNorm.apply(r, y, weight, bias, eps))


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        r: Tensor,
        y: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor]:
        n_rows, width = r.shape
        total, normed = r.new_empty(r.shape), y.new_empty(y.shape)
        mean, scale = r.new_empty(2, n_rows).unbind()
        tile = _tile(width)
        launch(
            _forward_kernel, triton.cdiv(n_rows, tile["ROWS"]),
            r.contiguous(), y.contiguous(), weight.contiguous(), bias.contiguous(),
            total, normed, mean, scale, n_rows, width, eps, **tile, num_warps=_WARPS,
        )  # fmt: skip
        ctx.save_for_backward(total, mean, scale, weight, bias)
        return total, normed

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        d_total: Tensor,
        d_normed: Tensor,
    ) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        total, mean, scale, weight, bias = ctx.saved_tensors
        n_rows, width = total.shape
        tile = _tile(width)
        # A power of two, because TILES is a compile-time constant: few kernels are compiled.
        n_tiles = triton.next_power_of_2(triton.cdiv(n_rows, tile["ROWS"] * _PROGRAMS))
        n_programs = triton.cdiv(n_rows, tile["ROWS"] * n_tiles)
        d_weight, d_bias = total.new_empty(2, n_programs, width).unbind()
        d_r = torch.empty_like(total)
        # The two gradients are equal; if their dtypes are too, they share one buffer.
        d_y = d_r if d_normed.dtype is d_r.dtype else d_normed.new_empty(d_normed.shape)
        launch(
            _backward_kernel, n_programs,
            d_total.contiguous(), d_normed.contiguous(), weight.contiguous(), total, mean, scale,
            d_r, d_y, d_weight, d_bias, n_rows, width, TILES=n_tiles, **tile,
            num_warps=_WARPS,
        )  # fmt: skip
        return d_r, d_y, d_weight.sum(0).to(weight.dtype), d_bias.sum(0).to(bias.dtype), None


def _tile(width: int) -> dict[str, int]:
    block = triton.next_power_of_2(width)
    return {"ROWS": max(1, _TILE // block), "BLOCK": block}
