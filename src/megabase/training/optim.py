"""Which parameters the weight decay pulls towards zero."""

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
    """Name the matrices of projections, MLPs and heads; nothing else decays.

    The filter's network does not, as published; nor do biases, norms, the short
    convolution and the embedding, where the released code decays them by oversight:
    its configurations never set the groups that its authors wrote.
    """
    names = (name for name, _ in model.named_parameters())
    return [name for name in names if name.replace(WRAPPED, "").endswith(_DECAYED)]
