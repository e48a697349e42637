"""Detecting modified modules, for fast paths that read weights without calling `forward`."""

from torch import nn
from torch.nn.modules import module as torch_module

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_untouched(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Return whether a module is exactly of one of the classes, without hooks or a new forward."""
    return type(module) in kinds and not has_hooks(module) and "forward" not in vars(module)


def has_hooks(module: nn.Module) -> bool:
    """Return whether a module has hooks, or hooks for all modules are registered."""
    of_all = bool(torch_module._has_any_global_hook())  # pyright: ignore[reportPrivateUsage]
    return of_all or any(vars(module).get(kind) for kind in _HOOKS)
