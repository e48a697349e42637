"""Whether a module is as this package builds it: fast paths read weights past its `forward`."""

from torch import nn


def is_untouched(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Say whether a module is exactly of one of the kinds, without hooks or another forward."""
    has_hooks = bool(module._forward_hooks or module._forward_pre_hooks)
    return type(module) in kinds and not has_hooks and "forward" not in vars(module)
