"""The linear map that ends each branch of a block."""

from torch import nn


class ResidualLinear(nn.Linear):
    """A linear map whose output is added to the residual stream.

    It is a class of its own so that it is recognised at initialisation: its initial weights are
    smaller in deeper models; see `modeling.HyenaDNAPreTrainedModel`.
    """
