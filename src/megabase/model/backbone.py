"""The backbone: embedding, blocks and last norm, built from a configuration."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from megabase.model import streaming
from megabase.model.architecture import Architecture
from megabase.model.hyena import Block, HyenaOperator, ImplicitFilter
from megabase.model.memory_mixer import MemoryMixer
from megabase.model.positions import FilterShape, PublishedShape, ScaleFreeShape
from megabase.ops.backends import Engine, EngineChoice, choose, describe_memory
from megabase.ops.recompute import no_recomputation
from megabase.ops.streamed_plan import plan_streamed
from megabase.ops.tracing import is_unmodified, why_traced


class Backbone(nn.Module):
    """A decoder of Hyena blocks, from embedded tokens to hidden states.

    Parameters
    ----------
    config
        The architecture.
    """

    gradient_checkpointing = False
    """Whether training saves only the input of each block and recomputes the rest."""

    engine = Engine()
    """The requested way to compute the blocks."""

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_embedding_rows, config.d_model)
        self.dropout = nn.Dropout(config.embed_dropout)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.n_layer))
        self.norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.memory = MemoryMixer(config) if config.has_memory else None

    @classmethod
    def empty(cls, config: Architecture, device: str = "meta") -> "Backbone":
        """Return a backbone without initialised weights; on "meta" it has only names and shapes."""
        with _NoDraws(), torch.device(device):
            return cls(config)

    def forward(
        self,
        embedded: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
        *,
        n_bytes_beside: int = 0,
        every_layer: bool = False,
        n_blocks: int | None = None,
        overwrite: bool = False,
    ) -> list[Float[Tensor, "batch length d_model"]]:
        """Return a list of hidden states, of which the last is the normed output.

        With `n_blocks` below the number of blocks, the last is the residual stream after that
        block, without the norm: the same as the state at index `n_blocks` with `every_layer`.

        Parameters
        ----------
        embedded
            Embedded tokens.
        mask
            False where a token is padding; None: no padding.
        n_bytes_beside
            Memory that is in use besides the weights and the tensors of the blocks.
        every_layer
            Also return the embedding and the residual stream after each block but the last.
        n_blocks
            Blocks to compute; None: all.
        overwrite
            Whether the memory of `embedded` may be reused.
        """
        overwrite = overwrite and is_unmodified(self.embedding, nn.Embedding)
        r = self.dropout(embedded)
        r = r.to(torch.promote_types(r.dtype, torch.float32))
        name = self.choose_engine(r).name
        if name != "plain" and mask is not None and _is_all_on_the_right(mask):
            r, mask, is_ours = r.masked_fill(~mask[..., None], 0.0), None, True
        else:
            is_ours = overwrite and is_unmodified(self.dropout, nn.Dropout)
        if name == "streamed":
            own = r if is_ours else r.clone()
            return self._streamed(
                own, mask, every_layer=every_layer, n_blocks=n_blocks,
                n_bytes_beside=n_bytes_beside,
            )  # fmt: skip
        if why_traced(r) is None:
            streaming.forget_spectra(self.blocks)
        earlier: list[Tensor] = []
        for block in list(self.blocks)[:n_blocks]:
            if every_layer:
                earlier.append(r)
            r = self._run(block, r, mask, name)
        is_last = n_blocks in (None, len(self.blocks))
        return [*earlier, self.norm(r.to(self.norm.weight.dtype)) if is_last else r]

    def choose_engine(self, r: Tensor) -> EngineChoice:
        """Return the engine that computes a residual stream like `r`, and why.

        Raises
        ------
        InputError
            If the requested engine or option cannot be used.
        """
        traced = why_traced(r, self.norm.weight)
        choice = choose(
            self.engine, r, order=self.config.hyena_order, traced=traced,
            find_obstacle=lambda: streaming.find_obstacle(self.blocks, self.norm, r.dtype),
        )  # fmt: skip
        if self.memory is None or traced is not None:
            return choice
        return EngineChoice(choice.name, f"{choice.why}; memory {describe_memory()}")

    def _run(self, block: nn.Module, r: Tensor, mask: Tensor | None, engine: str) -> Tensor:
        if self.gradient_checkpointing and self.training and why_traced(r) is None:
            contexts = lambda: (no_recomputation(), no_recomputation())  # noqa: E731
            return checkpoint(
                block, r, mask, engine=engine, use_reentrant=False, context_fn=contexts
            )
        return block(r, mask, engine=engine)

    def _streamed(
        self, r: Tensor, mask: Tensor | None, *, every_layer: bool, n_blocks: int | None,
        n_bytes_beside: int,
    ) -> list[Tensor]:  # fmt: skip
        batch, length, _ = r.shape
        plan = plan_streamed(
            self.config, length, batch=batch, max_bytes=self.engine.max_bytes,
            itemsize=r.itemsize, n_states=len(self.blocks) if every_layer else 0,
            n_bytes_beside=n_bytes_beside,
        )  # fmt: skip
        steps = streaming.run(
            self.blocks, r, mask, group=plan.group, keep_spectra=plan.keep_spectra,
            compiled_mixer=plan.compiled_mixer, matmul_dtype=self.engine.matmul_dtype or r.dtype,
        )  # fmt: skip
        residual = next(steps)
        earlier: list[Tensor] = []
        for _ in range(len(self.blocks) if n_blocks is None else n_blocks):
            if every_layer:
                earlier.append(residual.restored())
            next(steps)
        if n_blocks not in (None, len(self.blocks)):
            return [*earlier, residual.restored(overwrite=True)]
        return [*earlier, residual.normed.mul_(self.norm.weight).add_(self.norm.bias)]


class _NoDraws(TorchFunctionMode):
    """Skips weight initialisation, for which torch imports its compiler on the meta device."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 whatever torch answers
        if getattr(func, "__module__", None) == nn.init.__name__:
            return None  # modules ignore the result
        if func is torch.randn:
            func = torch.empty
        return func(*args, **(kwargs or {}))


def _is_all_on_the_right(mask: Bool[Tensor, "batch length"]) -> bool:
    """Return whether all padding is on the right, where a causal model never sees it.

    Always False on a GPU, where reading the mask would wait for the device.
    """
    return mask.device.type == "cpu" and not bool((mask[:, 1:] & ~mask[:, :-1]).any())


def _block(config: Architecture) -> Block:
    filters = ImplicitFilter(
        config.hyena_order - 1,
        config.d_model,
        _filter_shape(config),
        width=config.filter_order,
        n_inner=config.num_inner_mlps,
        frequency=config.activation_freq,
        n_near_taps=config.n_near_taps,
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


def _filter_shape(config: Architecture) -> FilterShape:
    grid, n_filters = config.max_seq_len, config.hyena_order - 1
    n_channels = n_filters * config.d_model
    if config.filter_family == "published":
        return PublishedShape(grid, n_channels, emb_dim=config.emb_dim, shift=config.filter_shift)
    return ScaleFreeShape(
        grid,
        n_channels,
        n_filters,
        emb_dim=config.emb_dim,
        shortest_reach=config.shortest_reach,
        longest_reach=config.longest_reach,
        amplitude=config.filter_amplitude,
        exponent=config.amplitude_exponent,
    )
