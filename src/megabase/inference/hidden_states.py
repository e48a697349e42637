"""The hidden state of each token, which embeddings and distances are made of."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from megabase.model.modeling import HyenaDNAForCausalLM


def hidden_states(
    model: HyenaDNAForCausalLM,
    tokens: Int64[Tensor, "batch length"],
    mask: Bool[Tensor, "batch length"] | None = None,
) -> Float[Tensor, "batch length d_model"]:
    """Give the last layer's hidden states, normed.

    Parameters
    ----------
    model
        A causal language model in evaluation mode.
    tokens
        On the model's device.
    mask
        False where a token is padding; None where there is none.
    """
    with torch.inference_mode():
        return model.backbone(model.backbone.embedding(tokens), mask, overwrite=True)[-1]
