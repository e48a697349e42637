"""Translation between published parameter names and configuration keys and those of this package.

Three published layouts hold the same tensors under the same names with different prefixes:
``model.`` in the released Lightning files (with ``.layer.`` after mixer and mlp if they
were trained with checkpointing), ``hyena.`` in the released ``-hf`` folders, and none in
the released stand-alone code.

Three kinds of additional tensors are dropped: an alias that equals the tensor it repeats, a stored
grid that equals the computed one, and the state of a training metric. Any other is an error.

Source: the released code and checkpoints of Nguyen et al. 2023, arXiv:2306.15794v2.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from megabase.errors import InputError
from megabase.model.architecture import MODEL_TYPE, ONE_VALUE, Architecture
from megabase.model.positions import decay_rates, positional_encoding

Tensors = Mapping[str, Tensor]

PREFIXES = {"hf": "hyena.", "lightning": "model.", "standalone": ""}
"""Prefix before ``backbone.`` in each layout."""

_CHECKPOINTED = re.compile(r"\.(mixer|mlp)\.layer\.")
_TRAINED_GRID = 1e-3  # a stored grid that differs more from the computed one has been trained
_EMBEDDING = "embeddings.word_embeddings.weight"


def name_pairs(config: Architecture) -> dict[str, str]:
    """Return a table from published to our parameter names, both without prefix.

    Parameters
    ----------
    config
        The architecture.

    Raises
    ------
    InputError
        If the filter is not the published one.
    """
    _check_filter(config)
    pairs = {_EMBEDDING: "embedding.weight", **_affine("ln_f", "norm")}
    for i in range(config.n_layer):
        theirs, ours = f"layers.{i}", f"blocks.{i}"
        pairs |= _affine(f"{theirs}.norm1", f"{ours}.norm_mixer")
        pairs |= _affine(f"{theirs}.norm2", f"{ours}.norm_mlp")
        pairs |= _affine(f"{theirs}.mixer.in_proj", f"{ours}.mixer.in_proj")
        pairs |= _affine(f"{theirs}.mixer.out_proj", f"{ours}.mixer.out_proj")
        pairs |= _affine(f"{theirs}.mixer.short_filter", f"{ours}.mixer.short_conv")
        pairs |= _affine(f"{theirs}.mlp.fc1", f"{ours}.mlp.fc1")
        pairs |= _affine(f"{theirs}.mlp.fc2", f"{ours}.mlp.fc2")
        pairs[f"{theirs}.mixer.filter_fn.bias"] = f"{ours}.mixer.skip"
        pairs |= _filter_pairs(config, f"{theirs}.mixer.filter_fn", f"{ours}.mixer.filters")
    return pairs


def _check_filter(config: Architecture) -> None:
    if config.filter_family != "published" or config.n_near_taps:
        raise InputError(
            "a released layout can only hold a published filter without near taps; this model has "
            f"a {config.filter_family} filter with {config.n_near_taps} near taps"
        )


def _affine(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}.{part}": f"{ours}.{part}" for part in ("weight", "bias")}


def _filter_pairs(config: Architecture, theirs: str, ours: str) -> dict[str, str]:
    """Return the names for one filter; in the published list, every second layer is a sine."""
    n_hidden = config.num_inner_mlps + 1
    pairs = {f"{theirs}.implicit_filter.1.freq": f"{ours}.frequency"}
    for k in range(n_hidden):
        pairs |= _affine(f"{theirs}.implicit_filter.{2 * k}", f"{ours}.linears.{k}")
    last = f"implicit_filter.{2 * n_hidden}.weight"
    return pairs | {f"{theirs}.{last}": f"{ours}.linears.{n_hidden}.weight"}


def is_published(tensors: Tensors) -> bool:
    """Return whether tensors have published names rather than ours."""
    return any(name.endswith(f"backbone.{_EMBEDDING}") for name in tensors)


def from_published(tensors: Tensors, config: Architecture, source: str) -> dict[str, Tensor]:
    """Translate the tensors of a published file to our names.

    Parameters
    ----------
    tensors
        Tensors by published name, in any of the layouts.
    config
        Their architecture.
    source
        Name of the file in an error.

    Raises
    ------
    InputError
        If a tensor is missing, unknown, or differs from the alias or grid that it should equal.
    """
    anchor = next(name for name in tensors if name.endswith(f"backbone.{_EMBEDDING}"))
    prefix = anchor.removesuffix(_EMBEDDING)
    if max(config.n_layer, config.num_inner_mlps) > len(tensors):
        raise InputError(
            f"{source} has only {len(tensors):,} tensors; its config.json requires n_layer "
            f"{config.n_layer:,} and num_inner_mlps {config.num_inner_mlps:,}"
        )
    pairs = name_pairs(config)
    ours: dict[str, Tensor] = {}
    extra: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = _CHECKPOINTED.sub(r".\1.", name).removeprefix(prefix)
        if plain in pairs:
            ours[f"backbone.{pairs[plain]}"] = tensor
        else:
            extra[plain] = tensor
    missing = [name for name, our in pairs.items() if f"backbone.{our}" not in ours]
    if missing:
        raise InputError(f"{source} lacks {len(missing)} tensors, the first: {prefix}{missing[0]}")
    for name, tensor in extra.items():
        _check_extra(name, tensor, ours, config, source)
    return ours


def _check_extra(
    name: str, tensor: Tensor, ours: Tensors, config: Architecture, source: str
) -> None:
    """Raise an InputError unless an additional tensor can be dropped."""
    if "torchmetrics" in name:
        return
    grid = re.search(r"\bpos_emb\.([zt])$", name)
    shape = (1, config.max_seq_len, config.emb_dim if grid and grid[1] == "z" else 1)
    if grid and tensor.shape != shape:  # checked before a grid of the claimed size is computed
        raise InputError(f"{source}: {name} has shape {tuple(tensor.shape)}, expected {shape}")
    expected = _known_extra(name, ours, config)
    if expected is None:
        raise InputError(f"{source} has a tensor unknown in a HyenaDNA model of its config: {name}")
    if tensor.shape != expected.shape:
        raise InputError(
            f"{source}: {name} has shape {tuple(tensor.shape)}, expected {tuple(expected.shape)}"
        )
    is_grid = "pos_emb" in name or "modulation" in name
    difference = (tensor.float() - expected.float()).abs().max().item()
    if difference > (_TRAINED_GRID if is_grid else 0.0):
        why = "a trained grid" if is_grid else "a weight that is not tied"
        raise InputError(
            f"{source}: {name} differs by {difference:.3g} from the computed or tied tensor; "
            f"{why} cannot be loaded"
        )


def _known_extra(name: str, ours: Tensors, config: Architecture) -> Tensor | None:
    """Return what an additional tensor must equal, None if it is unknown."""
    if name.removeprefix("model.") == "lm_head.weight":
        return ours.get("backbone.embedding.weight")
    alias = re.fullmatch(r"layers\.(\d+)\.mixer\.filter_fn\.implicit_filter\.(\d+)\.freq", name)
    if alias and int(alias[2]) in range(1, 2 * (config.num_inner_mlps + 1), 2):
        return ours.get(f"backbone.blocks.{alias[1]}.mixer.filters.frequency")
    grid = re.fullmatch(r"layers\.\d+\.mixer\.filter_fn\.((?:pos_emb|modulation)\.\w+)", name)
    return grids(config).get(grid[1]) if grid else None


def grids(config: Architecture) -> dict[str, Tensor]:
    """Return the positions and rates that published files store for each filter."""
    like = torch.zeros((), dtype=torch.float32)
    z = positional_encoding(range(config.max_seq_len), config.max_seq_len, config.emb_dim, like)
    rates = decay_rates((config.hyena_order - 1) * config.d_model, like)
    return {
        "pos_emb.z": z[None],
        "pos_emb.t": z[None, :, :1],
        "modulation.deltas": rates[None, None],
    }


def to_published(tensors: Tensors, config: Architecture, layout: str = "hf") -> dict[str, Tensor]:
    """Translate our tensors to a published layout, including its grids and tied head.

    Parameters
    ----------
    tensors
        Tensors by our names.
    config
        Their architecture.
    layout
        A key of `PREFIXES`.

    Raises
    ------
    InputError
        If the filter is not the published one.
    """
    prefix = PREFIXES[layout] + "backbone."
    theirs = {
        prefix + name: tensors[f"backbone.{ours}"] for name, ours in name_pairs(config).items()
    }
    stored = grids(config)
    for i in range(config.n_layer):
        for name, grid in stored.items():
            theirs[f"{prefix}layers.{i}.mixer.filter_fn.{name}"] = grid.clone()
    head = "model.lm_head.weight" if layout == "lightning" else "lm_head.weight"
    return theirs | {head: tensors["backbone.embedding.weight"].clone()}


# Keys of an original config.json, and the values that our implementation requires.
_SAME_KEY = (
    "d_model", "n_layer", "d_inner", "vocab_size", "embed_dropout", "pad_vocab_size_multiple",
)  # fmt: skip
_NO_EFFECT = {
    "fused_mlp", "fused_dropout_add_ln", "return_hidden_state",
    "checkpoint_mixer", "checkpoint_mlp",
}  # fmt: skip
_REQUIRED = {"resid_dropout": 0.0, "residual_in_fp32": True}
_LAYER_KEY = {
    "l_max": "max_seq_len",
    "emb_dim": "emb_dim",
    "filter_order": "filter_order",
    "local_order": "short_filter_order",
    "short_filter_order": "short_filter_order",
    "w": "activation_freq",
    "order": "hyena_order",
    "num_inner_mlps": "num_inner_mlps",
    "shift": "filter_shift",
}
_LAYER_NO_EFFECT = {"lr", "wd"}
_LAYER_REQUIRED = {"_name_": "hyena", "modulate": True, "lr_pos_emb": 0.0}


def keys_of_original(original: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Translate the config.json of an original release to our keys.

    Parameters
    ----------
    original
        Its content, in which ``layer`` holds the keys of the mixer.
    source
        Name of the file in an error.

    Raises
    ------
    InputError
        If a key is unknown, or its value is not supported.
    """
    keys: dict[str, Any] = {}
    layer = original.get("layer", {})
    if not isinstance(layer, Mapping):
        raise InputError(f"{source}: layer must be a JSON object, got {type(layer).__name__}")
    names = {key: key for key in _SAME_KEY}
    _read(original, names, _NO_EFFECT | {"layer"}, _REQUIRED, keys, source)
    _read(layer, _LAYER_KEY, _LAYER_NO_EFFECT, _LAYER_REQUIRED, keys, f"{source}, layer")
    return keys


# Values that the code of the released -hf folders assumes without reading them.
_HF_FIXED = {
    "hyena_order": 2, "filter_shift": 0.05, "initializer_gain": None, "n_added_tokens": 0,
}  # fmt: skip
_HF_KEYS = (
    *_SAME_KEY, "max_seq_len", "emb_dim", "filter_order", "short_filter_order", "activation_freq",
    "hyena_order", "num_inner_mlps", "layer_norm_epsilon", "initializer_range", "pad_token_id",
)  # fmt: skip


def check_hf(config: Architecture) -> None:
    """Validate that a released ``-hf`` folder can represent an architecture.

    Raises
    ------
    InputError
        If the filter is not the published one, the model has a memory, or a value differs from the
        one that the code of those folders assumes.
    """
    if config.has_memory:
        raise InputError("the -hf layout cannot hold a memory, and this model has one")
    _check_filter(config)
    for key, fixed in _HF_FIXED.items():
        if getattr(config, key) != fixed:
            raise InputError(
                f"the -hf layout can only hold {key} = {fixed}; this model has "
                f"{getattr(config, key)}"
            )


def config_to_hf(config: Architecture) -> dict[str, Any]:
    """Return the content of config.json in a released ``-hf`` folder of this architecture.

    Raises
    ------
    InputError
        If that layout cannot represent the architecture; see `check_hf`.
    """
    check_hf(config)
    keys = {key: getattr(config, key) for key in _HF_KEYS}
    return {
        "architectures": ["HyenaDNAForCausalLM"],
        "model_type": MODEL_TYPE,
        "tie_word_embeddings": False,
        **ONE_VALUE,
        **keys,
    }


def _read(
    given: Mapping[str, Any],
    names: Mapping[str, str],
    no_effect: set[str],
    required: Mapping[str, Any],
    keys: dict[str, Any],
    source: str,
) -> None:
    """Translate keys into `keys`; raise an InputError for unknown keys and unsupported values."""
    for key, value in given.items():
        if key in names:
            keys[names[key]] = value
        elif key in required and value != required[key]:
            raise InputError(f"{source}: {key} must be {required[key]!r}; got {value!r}")
        elif key not in required and key not in no_effect:
            raise InputError(f"{source}: unknown key {key!r}")
