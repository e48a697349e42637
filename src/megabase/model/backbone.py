"""The backbone: embedding, blocks, last norm, assembled from a configuration."""

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from megabase.model.block import Block
from megabase.model.config import HyenaDNAConfig
from megabase.model.filter import ImplicitFilter
from megabase.model.operator import HyenaOperator


class Backbone(nn.Module):
    """A decoder of Hyena blocks, from embedded tokens to hidden states.

    Parameters
    ----------
    config
        Every number of the architecture.
    """

    gradient_checkpointing = False
    """Whether training keeps only each block's input and computes the rest again."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.n_embedding_rows, config.d_model)
        self.dropout = nn.Dropout(config.embed_dropout)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.n_layer))
        self.norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)

    def forward(
        self,
        embedded: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
        *,
        every_layer: bool = False,
    ) -> list[Float[Tensor, "batch length d_model"]]:
        """Give hidden states; the last of the list is the last layer's, normed.

        Parameters
        ----------
        embedded
            Embedded tokens.
        mask
            False where a token is padding; None where there is none.
        every_layer
            Give the embedding and the residual stream after each block too.
        """
        r = self.dropout(embedded)
        r = r.to(torch.promote_types(r.dtype, torch.float32))
        earlier: list[Tensor] = []
        for block in self.blocks:
            if every_layer:
                earlier.append(r)
            r = self._run(block, r, mask)
        return [*earlier, self.norm(r.to(self.norm.weight.dtype))]

    def _run(self, block: nn.Module, r: Tensor, mask: Tensor | None) -> Tensor:
        if self.gradient_checkpointing and self.training:
            return checkpoint(block, r, mask, use_reentrant=False)
        return block(r, mask)


def _block(config: HyenaDNAConfig) -> Block:
    filters = ImplicitFilter(
        config.hyena_order - 1,
        config.d_model,
        grid=config.max_seq_len,
        emb_dim=config.emb_dim,
        width=config.filter_order,
        n_inner=config.num_inner_mlps,
        frequency=config.activation_freq,
        shift=config.filter_shift,
    )
    mixer = HyenaOperator(
        config.d_model, filters, order=config.hyena_order, short_length=config.short_filter_order
    )
    return Block(
        mixer,
        d_model=config.d_model,
        d_inner=cast("int", config.d_inner),
        eps=config.layer_norm_epsilon,
    )
