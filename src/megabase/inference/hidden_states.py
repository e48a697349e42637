"""The hidden state of each token, from which embeddings and distances are computed."""

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
    """Return the hidden states of a layer; only the blocks up to it are computed.

    Parameters
    ----------
    model
        A causal language model in evaluation mode.
    tokens
        Token ids, on the model's device.
    mask
        False where a token is padding; None if there is no padding.
    layer
        0 for the embedding, k for the residual stream after k blocks; the last layer is the
        residual stream after all blocks, normalised. Layers are numbered as in the model's
        `output_hidden_states`. None: the last layer.

    Raises
    ------
    InputError
        If the model has no such layer.
    """
    n_blocks = check_layer(layer, model.config.n_layer)
    with torch.inference_mode():
        embedded = model.backbone.embedding(tokens)
        return model.backbone(embedded, mask, n_blocks=n_blocks, overwrite=True)[-1]
