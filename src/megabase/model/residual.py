"""The linear map that ends each branch of a block."""

from torch import nn


class ResidualLinear(nn.Linear):
    """A linear map whose answer is added to the residual stream.

    It is one by its type so that its starting weights can be smaller, the deeper the
    model; see the table of `modeling.HyenaDNAPreTrainedModel`.
    """
