"""Select the parameters with weight decay."""

from torch import nn

from megabase.training.low_rank import WRAPPED

_DECAYED = (
    "in_proj.weight",
    "out_proj.weight",
    "fc1.weight",
    "fc2.weight",
    "head.linear.weight",
)


def decayed_parameters(model: nn.Module) -> list[str]:
    """Return the names of the matrices of projections, MLPs and heads; nothing else decays.

    The network of the filters has no weight decay, as published. Biases, norms, the short
    convolution and the embedding have none either. The released code decays them by oversight:
    its configurations never use the parameter groups that it defines.
    """
    names = (name for name, _ in model.named_parameters())
    return [name for name in names if name.replace(WRAPPED, "").endswith(_DECAYED)]
