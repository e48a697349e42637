"""Saving memory for the gradient: cheap tensors are recomputed instead of saved."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

# Tokens of a part that is recomputed at once; more do not fit the caches of a CPU.
_TOKENS_ON_CPU, _TOKENS_ELSEWHERE = 1 << 11, 1 << 16
KEPT_INSIDE = 1 << 23
"""Up to this many numbers inside an MLP are saved for the gradient instead of recomputed."""

_IS_WANTED = ContextVar("is_wanted", default=True)


def recomputed(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Return ``function(*arguments)``, which is recomputed in the backward pass if there is one.

    Without gradients torch's checkpoint is skipped: it would have no effect, but import torch's
    compiler.

    Parameters
    ----------
    function
        A function without side effects.
    arguments
        Its arguments.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    return cast("Tensor", checkpoint(function, *arguments, use_reentrant=False))


def in_parts(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch length d_model"], d_inner: int
) -> Float[Tensor, "batch length d_model"]:
    """Apply a function that acts on each token to some tokens at a time, and recompute it.

    If tokens times `d_inner` are at most `KEPT_INSIDE`, nothing is recomputed for the gradient.

    Parameters
    ----------
    function
        Maps (batch, length, d_model) to the same shape, each token independently.
    x
        Its input.
    d_inner
        Numbers per token that its gradient needs.
    """
    if not torch.is_grad_enabled() or x[..., 0].numel() * d_inner <= KEPT_INSIDE:
        return function(x)
    at_once = _TOKENS_ON_CPU if x.device.type == "cpu" else _TOKENS_ELSEWHERE
    parts = x.split(max(1, at_once // len(x)), dim=1)
    return torch.cat([checkpoint(function, part, use_reentrant=False) for part in parts], dim=1)


class no_recomputation:  # noqa: N801 used as a function
    """Disable `recompute_saved` within a context, because a checkpoint cannot see what it saves.

    The context can be entered several times, as a checkpoint does if several gradients are
    computed.
    """

    def __init__(self) -> None:
        self._before: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._before.append(_IS_WANTED.set(False))

    def __exit__(self, *_: object) -> None:
        _IS_WANTED.reset(self._before.pop())


@contextmanager
def recompute_saved(x: Tensor, make: Callable[[], Tensor], *, when: bool = True) -> Generator[None]:
    """Prevent operations within a context from saving `x` for their gradients.

    Parameters
    ----------
    x
        The tensor that is not saved; contiguous.
    make
        Recomputes `x` in the backward pass.
    when
        False: `x` may be saved.
    """
    if not (when and _IS_WANTED.get()):
        yield
        return
    storage = x.untyped_storage().data_ptr()

    def pack(t: Tensor) -> Tensor | tuple[Any, ...]:
        is_view = t.untyped_storage().data_ptr() == storage
        # detached, because an operation that saved its own output would form a reference cycle
        return (t.shape, t.stride(), t.storage_offset()) if is_view else t.detach()

    def unpack(kept: Tensor | tuple[Any, ...]) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        with torch.no_grad():
            return make().as_strided(*kept)

    with saved_tensors_hooks(pack, unpack):
        yield
