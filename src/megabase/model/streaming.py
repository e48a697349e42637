"""The blocks through `ops.streamed`: their folded weights, and the spectra of their filters."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from megabase.model.hyena import MLP, Block, HyenaOperator, ImplicitFilter, ResidualLinear
from megabase.model.positions import FilterShape
from megabase.ops import streamed
from megabase.ops.backends import mixer_for, steps_for
from megabase.ops.folding import LayerWeights, fold_norm
from megabase.ops.short_conv import without_edge
from megabase.ops.taps import add_skip
from megabase.ops.tracing import is_unmodified

_OURS = (
    Block, HyenaOperator, ImplicitFilter, MLP, ResidualLinear,
    nn.Linear, nn.Conv1d, nn.LayerNorm, nn.ModuleList,
)  # fmt: skip


def layer_weights(block: Block) -> LayerWeights:
    """Return the weights of an unmodified block, in float32 or wider, with its norms folded in."""
    operator, mlp = cast("HyenaOperator", block.mixer), block.mlp
    into, out, short = operator.in_proj, operator.out_proj, operator.short_conv
    project, project_bias = _after_norm(block.norm_mixer, into)
    expand, expand_bias = _after_norm(block.norm_mlp, mlp.fc1)
    return LayerWeights(
        project=project,
        project_bias=project_bias,
        short=without_edge(wide(short.weight[:, 0]), wide(cast("Tensor", short.bias))),
        out=wide(out.weight),
        out_bias=wide(out.bias),
        expand=expand,
        expand_bias=expand_bias,
        contract=wide(mlp.fc2.weight),
        contract_bias=wide(mlp.fc2.bias),
    )


def _after_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    return fold_norm(norm.weight, norm.bias, wide(linear.weight), wide(linear.bias))


def wide(parameter: Tensor) -> Tensor:
    """Return a parameter in float32 or wider, without its gradient."""
    return parameter.detach().to(torch.promote_types(parameter.dtype, torch.float32))


Filters = Callable[[slice], Tensor]
"""Returns the long filters of some channels; see `ops.gated_conv.Mixer.mix`."""


class Spectra(NamedTuple):
    """Spectra of the filters of a layer, and copies of the parameters they were computed from."""

    made_from: list[Tensor]
    numbers: tuple[int, FilterShape, str]
    values: Tensor


_SPECTRA: WeakKeyDictionary[nn.Module, Spectra] = WeakKeyDictionary()


def find_obstacle(blocks: nn.ModuleList, last_norm: nn.Module, dtype: torch.dtype) -> str | None:
    """Return why the blocks of this model cannot be streamed, None if they can.

    Parameters
    ----------
    blocks, last_norm
        Those of the backbone.
    dtype
        Dtype of the residual stream.
    """
    if obstacle := find_modification(blocks, last_norm):
        return obstacle
    if len({module.eps for module in _norms(blocks, last_norm)}) != 1:
        return "its norms have different eps"
    dtypes = {parameter.dtype for parameter in blocks.parameters()}
    if dtypes != {dtype}:
        return f"its weights are {' and '.join(sorted(map(str, dtypes)))}"
    return None


def find_modification(blocks: nn.ModuleList, last_norm: nn.Module) -> str | None:
    """Return a modification that would be lost if only weights were read, None if there is none.

    Parameters
    ----------
    blocks, last_norm
        Those of the backbone.
    """
    named = [*blocks.named_modules(prefix="blocks"), ("norm", last_norm)]
    return next(filter(None, (_obstacle(name, module) for name, module in named)), None)


def _obstacle(name: str, module: nn.Module) -> str | None:
    """Return why the weights of one module are not sufficient, None if they are."""
    if not is_unmodified(module, *_OURS):
        return f"{name} is modified: a {type(module).__name__}, perhaps with hooks"
    if isinstance(module, HyenaOperator) and module.order != 2:
        return f"its operators are of order {module.order}"
    is_map = isinstance(module, nn.Conv1d | nn.Linear) and ".filters." not in name
    return f"{name} has no bias" if is_map and module.bias is None else None


def _norms(blocks: nn.ModuleList, last_norm: nn.Module) -> list[nn.LayerNorm]:
    modules = [*blocks.modules(), last_norm]
    return [module for module in modules if isinstance(module, nn.LayerNorm)]


def run(
    blocks: nn.ModuleList,
    r: Float[Tensor, "batch length d_model"],
    mask: Bool[Tensor, "batch length"] | None,
    *,
    group: int,
    keep_spectra: bool,
    compiled_mixer: bool,
    matmul_dtype: torch.dtype,
) -> Iterator[streamed.Residual]:
    """Yield the residual stream before the first block and after each, always the same object.

    Parameters
    ----------
    blocks
        Those of the backbone.
    r
        The residual stream before the first block, which is overwritten.
    mask
        False where a token is padding.
    group
        Channels whose streams are held at once.
    keep_spectra
        Whether spectra of filters are kept for the next sequence of the same length.
    compiled_mixer
        Whether the mixer in C may be used.
    matmul_dtype
        Dtype of the matrix products.
    """
    if not keep_spectra:
        forget_spectra(blocks)
    first = cast("Block", blocks[0])
    residual = streamed.Residual(r, first.norm_mixer.eps, steps_for(r))
    yield residual
    mixer = mixer_for(
        steps_for(r, compiled=compiled_mixer), r.transpose(1, 2), group,
        n_filters=0 if keep_spectra else 1, dtype=matmul_dtype,
    )  # fmt: skip
    inner = first.mlp.fc1.out_features
    buffers = streamed.LayerBuffers(
        r, group=group, d_inner=inner, matmul_dtype=matmul_dtype, mixer=mixer
    )
    over_channels = None if mask is None else mask[:, None]
    for block in cast("list[Block]", list(blocks)):
        weights = layer_weights(block).scaled_for_gelu()
        weights = weights.with_bias_in_short() if mask is None else weights
        operator = cast("HyenaOperator", block.mixer)
        filters_of = (_kept if keep_spectra else _made)(operator, r.shape[1], buffers)
        streamed.mix(residual, weights, filters_of, buffers, over_channels)
        streamed.feed_forward(residual, weights, buffers)
        del weights
        yield residual


def forget_spectra(blocks: nn.ModuleList) -> None:
    """Release the spectra that were kept for `blocks`."""
    for block in cast("list[Block]", list(blocks)):
        _SPECTRA.pop(block.mixer, None)


def _made(operator: HyenaOperator, length: int, buffers: streamed.LayerBuffers) -> Filters:
    """Return a function that computes taps of some channels, with the skip weight in the first."""
    filters = cast("ImplicitFilter", operator.filters)
    features = filters.features(length)
    of_group = features.new_empty(buffers.group, length)

    def make(channels: slice) -> Tensor:
        taps = of_group[: channels.stop - channels.start]
        filters.write_taps(features, channels, taps)
        return add_skip(taps, operator.skip[channels])

    return make


def _kept(operator: HyenaOperator, length: int, buffers: streamed.LayerBuffers) -> Filters:
    """Return a function for kept spectra, which are recomputed if parameters have changed."""
    filters = cast("ImplicitFilter", operator.filters)
    parameters = [*filters.parameters(), operator.skip]
    numbers = (length, filters.shape, buffers.mixer.layout)
    kept = _SPECTRA.get(operator)
    if kept is None or kept.numbers != numbers or not all(map(_same, kept.made_from, parameters)):
        made_from = [parameter.detach().clone() for parameter in parameters]
        kept = Spectra(made_from, numbers, _spectra(operator, length, buffers))
        _SPECTRA[operator] = kept
    return lambda channels: kept.values[channels]


def _spectra(operator: HyenaOperator, length: int, buffers: streamed.LayerBuffers) -> Tensor:
    """Transform the filters of a layer."""
    make, d_model = _made(operator, length, buffers), operator.d_model
    starts = range(0, d_model, buffers.group)
    groups = [slice(start, min(start + buffers.group, d_model)) for start in starts]
    return torch.cat([buffers.mixer.spectra_of(make(group)) for group in groups])


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype is b.dtype and torch.equal(a, b)
