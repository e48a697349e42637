"""Calls with a wrong type, rank, dtype or size are errors while tests run."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from beartype import beartype
from jaxtyping import Float, Int, TypeCheckError, jaxtyped
from torch import Tensor

from megabase.genome.interval import Interval
from megabase.metrics.task_metrics import confusion
from megabase.ops.definition import causal_conv

checked = jaxtyped(typechecker=beartype)  # what the import hook does to the package


@checked
def rows_times(a: Float[Tensor, "rows inner"], b: Float[Tensor, "inner columns"]) -> (
    Float[Tensor, "rows columns"]
):  # fmt: skip
    return a @ b


@checked
def transposed(a: Float[Tensor, "rows columns"], *, is_right: bool) -> (
    Float[Tensor, "columns rows"]
):  # fmt: skip
    return a.T if is_right else a


@checked
def named(number: int, name: str | None = None) -> str:
    return f"{name}{number}" if name else number  # pyright: ignore[reportReturnType]


@checked
def pairs(a: Float[Tensor, " length"], b: Float[Tensor, " length"]) -> Iterator[Tensor]:
    yield from torch.stack([a, b], 1)


@checked
def made(n: int) -> Float[np.ndarray, " {n}"]:
    return np.zeros(2)


@checked
@dataclass(frozen=True)
class Labelled:
    """Tokens with a label each."""

    tokens: Int[np.ndarray, " length"]
    labels: Int[np.ndarray, " length"]


def test_axes_of_one_name_have_one_size_among_arguments_and_result():
    a, b = torch.zeros(2, 3), torch.zeros(3, 4)
    assert rows_times(a, b).shape == (2, 4)
    with pytest.raises(TypeCheckError):
        rows_times(a, b.T)
    with pytest.raises(TypeCheckError):
        rows_times(a, b[0])
    with pytest.raises(TypeCheckError):
        rows_times(a, b.int())
    assert transposed(a, is_right=True).shape == (3, 2)
    with pytest.raises(TypeCheckError):
        transposed(a, is_right=False)


def test_a_call_within_a_call_has_its_own_sizes_and_so_has_the_next():
    def outer(a: Float[Tensor, "rows inner"]) -> Float[Tensor, " rows"]:
        return rows_times(a.T, a).sum(0)[:1].expand(len(a))

    for shape in ((2, 3), (4, 5)):
        assert checked(outer)(torch.zeros(shape)).shape == shape[:1]


def test_arguments_of_a_generator_are_checked_at_the_call():
    with pytest.raises(TypeCheckError):
        pairs(torch.zeros(2), torch.zeros(3))
    one, other = pairs(torch.zeros(2), torch.zeros(2)), pairs(torch.zeros(3), torch.zeros(3))
    assert len(list(zip(one, other, strict=False))) == 2


def test_types_are_checked_without_axes():
    assert named(1, "a") == "a1"
    with pytest.raises(TypeCheckError):
        named("1", "a")
    with pytest.raises(TypeCheckError):
        named(1)


def test_fields_of_a_dataclass_are_checked():
    assert len(Labelled(np.arange(3), labels=np.arange(3)).labels) == 3
    with pytest.raises(TypeCheckError):
        Labelled(np.arange(3), np.arange(4))
    with pytest.raises(TypeCheckError):
        Labelled(np.arange(3), np.arange(3.0))


def test_the_package_is_checked():
    with pytest.raises(TypeCheckError):
        causal_conv(torch.zeros(1, 2, 8), torch.zeros(3, 8), torch.zeros(2))
    with pytest.raises(TypeCheckError):
        Interval("chrI", "0", 5)


def test_a_size_that_is_an_argument_is_checked():
    assert confusion(np.array([0, 1]), np.array([1, 1]), 2).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(TypeCheckError):
        made(n=3)
    assert made(n=2).shape == (2,)
