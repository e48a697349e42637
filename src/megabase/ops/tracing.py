"""Detect what a fast path must not bypass: a call that is traced, a hook, a replaced module.

The fast paths write into buffers, call compiled code and define gradients by hand, which
`torch.export`, `torch.jit.trace`, `torch.compile`, the ONNX export, `torch.func` and fake tensors
cannot follow. Where this module returns a reason, plain torch operations are used instead.
They also read weights past the modules, so that a hook or another `forward` would be lost.
"""

import warnings

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_module
from torch.utils import _python_dispatch


def why_traced(*tensors: Tensor) -> str | None:
    """Return how the current call is traced or transformed, None if it is executed normally.

    Parameters
    ----------
    tensors
        Arguments of the call, which are checked for being fake tensors.
    """
    if torch.compiler.is_compiling():
        return "torch.compile or torch.export traces it"
    if is_jit_tracing():
        return "torch.jit.trace traces it"
    if torch._C._functorch.peek_interpreter_stack() is not None:  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        return "torch.func transforms it"
    if forward_ad._current_level >= 0:  # pyright: ignore[reportPrivateUsage]
        return "forward-mode derivatives are computed"
    if _python_dispatch._get_current_dispatch_mode() is not None:  # pyright: ignore[reportPrivateUsage]
        return "a torch dispatch mode intercepts it"
    if any(hasattr(tensor, "fake_mode") for tensor in tensors):
        return "its tensors are fake"
    return None


def is_jit_tracing() -> bool:
    """Return whether `torch.jit.trace` traces the current call."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]


def static_size(x: Tensor, dim: int) -> int:
    """Return a size of a tensor as an int, which `torch.jit.trace` records as a constant."""
    if not is_jit_tracing():
        return x.shape[dim]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # pyright: ignore[reportPrivateImportUsage]
        return int(x.shape[dim])


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_unmodified(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Return whether a module is exactly of one of the classes, without hooks or a new forward."""
    return type(module) in kinds and not has_hooks(module) and "forward" not in vars(module)


def has_hooks(module: nn.Module) -> bool:
    """Return whether a module has hooks, or hooks for all modules are registered."""
    of_all = bool(torch_module._has_any_global_hook())  # pyright: ignore[reportPrivateUsage]
    return of_all or any(vars(module).get(kind) for kind in _HOOKS)
