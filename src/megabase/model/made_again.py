"""Less memory for the gradient: what is cheap is not kept, and made again."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

_IS_WANTED = ContextVar("is_wanted", default=True)


def recomputed(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Return what a function gives, and compute it again for the gradient, if there is one.

    Without a gradient torch's checkpoint changes nothing, and imports the compiler of torch.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    return cast("Tensor", checkpoint(function, *arguments, use_reentrant=False))


class nothing_made_again:  # noqa: N801 used as a function
    """Switch `made_again` off within: what it keeps itself, a checkpoint would not see.

    It may be entered again, as a checkpoint does for each of several gradients.
    """

    def __init__(self) -> None:
        self._before: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._before.append(_IS_WANTED.set(False))

    def __exit__(self, *_: object) -> None:
        _IS_WANTED.reset(self._before.pop())


@contextmanager
def made_again(x: Tensor, make: Callable[[], Tensor]) -> Generator[None]:
    """Let what is computed within keep no memory of `x` for its gradient.

    Parameters
    ----------
    x
        What is not kept; contiguous.
    make
        Gives the same numbers anew, in the backward pass.
    """
    if not _IS_WANTED.get():
        yield
        return
    storage = x.untyped_storage().data_ptr()

    def pack(t: Tensor) -> Tensor | tuple[Any, ...]:
        is_view = t.untyped_storage().data_ptr() == storage
        # what computed a tensor and keeps it would keep it for ever, were it not detached
        return (t.shape, t.stride(), t.storage_offset()) if is_view else t.detach()

    def unpack(kept: Tensor | tuple[Any, ...]) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        with torch.no_grad():
            return make().as_strided(*kept)

    with saved_tensors_hooks(pack, unpack):
        yield
