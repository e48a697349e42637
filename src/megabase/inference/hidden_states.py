"""The hidden state of each token, which embeddings and distances are made of."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from megabase.inference.pooling import check_layer
from megabase.model.language import LanguageModel


def hidden_states(
    model: LanguageModel,
    tokens: Int64[Tensor, "batch length"],
    mask: Bool[Tensor, "batch length"] | None = None,
    *,
    layer: int | None = None,
) -> Float[Tensor, "batch length d_model"]:
    """Give the hidden states of a layer, at the cost of the blocks up to it.

    Parameters
    ----------
    model
        A causal language model in evaluation mode.
    tokens
        On the model's device.
    mask
        False where a token is padding; None where there is none.
    layer
        0 is the embedding, k the residual stream after k blocks, and the last the normed
        stream after all, as the model counts in `output_hidden_states`. None: the last.

    Raises
    ------
    InputError
        If the model has no such layer.
    """
    n_blocks = check_layer(layer, model.config.n_layer)
    with torch.inference_mode():
        embedded = model.backbone.embedding(tokens)
        return model.backbone(embedded, mask, n_blocks=n_blocks, overwrite=True)[-1]
