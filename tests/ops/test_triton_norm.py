"""The kernel that adds and normalizes computes the sum and its layer normalization."""

import importlib

import pytest
import torch
from torch.nn.functional import layer_norm

from tests.ops.kernel_device import DEVICE

pytest.importorskip("triton", reason="triton is not installed")
triton_norm = importlib.import_module("megabase.ops.triton.norm")

EPS = 1e-5
SHAPES = [(1, 1), (1, 2), (5, 3), (7, 16), (9, 37)]
NAMES = ("r", "y", "weight", "bias")


@pytest.fixture(autouse=True)
def _several_programs_of_several_tiles(monkeypatch):
    monkeypatch.setattr(triton_norm, "_TILE", 32)
    monkeypatch.setattr(triton_norm, "_PROGRAMS", 2)


def draw(*shape, dtype=torch.float32):
    return torch.randn(shape, dtype=torch.float64).to(DEVICE, dtype)


def inputs(rows, d_model, *, dtype=torch.float32):
    return [
        draw(rows, d_model) + 3.0,
        draw(rows, d_model, dtype=dtype),
        draw(d_model),
        draw(d_model),
    ]


def ours(r, y, weight, bias):
    return triton_norm.add_norm(r, y, weight, bias, EPS)


def exact_add_norm(r, y, weight, bias):
    return r + y, layer_norm(r + y, weight.shape, weight, bias, EPS)


def doubles(tensors):
    return [t.detach().double() for t in tensors]


def close(ours, exact, tolerance=1e-5):
    largest = exact.abs().max().item()
    torch.testing.assert_close(ours.double(), exact, rtol=0.0, atol=tolerance * largest + 1e-6)


def gradients(function, tensors, directions):
    tensors = [t.detach().requires_grad_() for t in tensors]
    total, normed = function(*tensors)
    loss = (total * directions[0]).sum() + (normed * directions[1]).sum()
    return torch.autograd.grad(loss, tensors)


@pytest.mark.parametrize("shape", SHAPES)
def test_sum_and_norm_are_those_of_their_definition(shape):
    tensors = inputs(*shape)
    for a, b in zip(ours(*tensors), exact_add_norm(*doubles(tensors)), strict=True):
        close(a, b)


@pytest.mark.parametrize("shape", SHAPES)
def test_its_gradients_are_those_of_its_definition(shape):
    tensors, directions = inputs(*shape), [draw(*shape).double() for _ in range(2)]
    found = gradients(ours, tensors, directions)
    exact = gradients(exact_add_norm, doubles(tensors), directions)
    for name, a, b, t in zip(NAMES, found, exact, tensors, strict=True):
        assert (a.dtype, a.shape) == (t.dtype, t.shape), name
        close(a, b)


def test_a_bfloat16_branch_gives_a_bfloat16_norm_and_leaves_the_sum_in_float32():
    tensors = inputs(5, 12, dtype=torch.bfloat16)
    total, normed = ours(*tensors)
    exact = exact_add_norm(*doubles(tensors))
    assert (total.dtype, normed.dtype) == (torch.float32, torch.bfloat16)
    close(total, exact[0])
    close(normed, exact[1], 2**-7)


def test_a_bfloat16_branch_has_a_bfloat16_gradient():
    tensors = inputs(5, 12, dtype=torch.bfloat16)
    directions = [draw(5, 12), draw(5, 12, dtype=torch.bfloat16)]
    found = gradients(ours, tensors, directions)
    exact = gradients(exact_add_norm, doubles(tensors), directions)
    for a, b, t in zip(found, exact, tensors, strict=True):
        assert a.dtype is t.dtype
        close(a, b, 2**-7)


def test_strided_rows_are_read_as_they_are():
    r, y, weight, bias = inputs(6, 5)
    strided = r.t().contiguous().t()
    assert not strided.is_contiguous()
    assert torch.equal(ours(strided, y, weight, bias)[1], ours(r, y, weight, bias)[1])


def test_a_sum_that_nobody_reads_has_no_part_in_the_gradient():
    tensors = [t.requires_grad_() for t in inputs(3, 5)]
    found = torch.autograd.grad(ours(*tensors)[1].square().sum(), tensors)
    wide = [t.requires_grad_() for t in doubles(tensors)]
    exact = torch.autograd.grad(exact_add_norm(*wide)[1].square().sum(), wide)
    for a, b in zip(found, exact, strict=True):
        close(a, b)


def test_a_row_that_does_not_fit_a_program_is_refused():
    with pytest.raises(ValueError, match="at most 4096 numbers; got 4097"):
        ours(*inputs(1, 4097))
