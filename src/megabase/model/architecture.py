"""The architecture of a model: every number under its published key. This module needs no torch."""

import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY

A = TypeVar("A", bound="Architecture")

POOLED = ("mean", "last", "max", "centre")
"""Ways to pool the hidden states of a sequence into one vector."""

EXTRA_POSITIONS = 2
"""Positions of the filter's grid beyond the context length, as published: for special tokens."""

HEAD_PREFIX, PROMPT_PREFIX = "head.", "prompt."
"""Prefixes of the tensor names of a head and of a soft prompt."""

JOINT = ";"
"""Separator between label names that are written as one text."""

MODEL_TYPE = "hyenadna"
"""`model_type` of our models in config.json."""

FILTER_FAMILIES = ("published", "scale-free")
"""Families of filters; see `model.filter_shape`."""

_OF_FAMILY = {
    "published": {"filter_shift"},
    "scale-free": {"shortest_reach", "longest_reach", "filter_amplitude", "amplitude_exponent"},
}
# Of a scale-free filter: on a grid of 1e6, float32 features of higher frequency are off by 1e-3.
_MOST_FEATURES = 21


def _ours(positions: int) -> dict[str, Any]:
    """Return the keys in which our presets differ from the published filter and initialisation."""
    return {
        "filter_family": "scale-free", "emb_dim": 9, "activation_freq": 1.0,
        "n_near_taps": min(64, positions), "initializer_gain": 1.0,
    }  # fmt: skip


# (n_layer, d_model). Our sizes, from 40m on named by their parameter count, and those of
# Nguyen et al. 2023, arXiv:2306.15794v2, Table A.1.
PRESETS: Mapping[str, tuple[int, int]] = {
    "tiny": (2, 128),
    "small": (4, 256),
    "large": (8, 256),
    "40m": (12, 512),
    "140m": (20, 768),
    "400m": (32, 1024),
    "1b": (36, 1536),
    "hyenadna-2x128": (2, 128),
    "hyenadna-2x256": (2, 256),
    "hyenadna-4x128": (4, 128),
    "hyenadna-4x256": (4, 256),
    "hyenadna-8x256": (8, 256),
}

# Keys of the released -hf folders for options that have the same value in every released model.
ONE_VALUE = {
    "hyena_dropout": 0.0, "hyena_filter_dropout": 0.0, "train_freq": True, "use_bias": True,
}  # fmt: skip


ALIASES: Mapping[str, str] = {
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layer",
    "intermediate_size": "d_inner",
    "max_position_embeddings": "max_seq_len",
}
"""Names of some keys in transformers, and in this package."""


def pop_fixed_keys(keys: dict[str, Any]) -> None:
    """Remove the keys of a config.json whose value is fixed in this package.

    Parameters
    ----------
    keys
        Keys of a config.json, which are modified.

    Raises
    ------
    InputError
        If such a key has another value, or the keys are those of an original release.
    """
    if "layer" in keys:
        raise InputError(
            "this config.json is in the layout of the original release; load it with "
            "megabase.load, or convert it with `megabase convert`"
        )
    for key, required in ONE_VALUE.items():
        if keys.pop(key, required) != required:
            raise InputError(f"{key} must be {required!r} in a HyenaDNA model; remove the key")
    keys.pop("auto_map", None)  # names code of the folder, which is never run


@typing.no_type_check  # values are checked in `settle`, with better messages
@dataclass(kw_only=True)
class Architecture:
    """The architecture of a HyenaDNA model.

    Parameters
    ----------
    d_model, n_layer, d_inner
        Channels, blocks, and channels inside the MLP (None: four times `d_model`).
    vocab_size, pad_vocab_size_multiple
        Number of tokens; the embedding has as many rows, rounded up to a multiple of the second.
    n_added_tokens
        Tokens after those of DNA that `resize_token_embeddings` added.
    max_seq_len
        Positions of the filter's grid: the context length plus `EXTRA_POSITIONS`.
    hyena_order, short_filter_order
        Gates of the operator, and taps of its short convolution.
    emb_dim, filter_order, num_inner_mlps, activation_freq, filter_shift
        Implicit filter: features of a position, width, hidden layers after the first, initial
        frequency of the sines, and floor of the window (published family only).
    filter_family, n_near_taps
        Implicit filter: one of `FILTER_FAMILIES`, and the number of first taps to which free
        parameters are added.
    shortest_reach, longest_reach, filter_amplitude, amplitude_exponent
        Scale-free family: reach of the first channel's window in tokens, reach of the last one's
        as a fraction of the grid, height of a window of reach 1, and the power of its reach by
        which the height of a window is divided.
    embed_dropout
        Probability that a channel of an embedded token is dropped in training.
    layer_norm_epsilon, initializer_range
        Added to the variance by the norms; standard deviation of the initial weights.
    initializer_gain
        Initial standard deviation of linear maps, including the filter's, times the square root
        of their inputs (None: it is `initializer_range` for any number of inputs, as published).
    pooling, head_dropout
        Sequence heads: one of `POOLED`, and the probability that a pooled channel is dropped in
        training.
    target_mean, target_scale
        Regression: mean and standard deviation of each target in training, in its own unit. The
        head works in standard units, and its output is converted to the unit of the target.
    n_prompt_tokens, prompt_dropout, answer_letters
        Soft prompt: its vectors (0: no prompt), the probability that a channel of one is dropped
        in training, and the letter of each class, such as "AN".
    memory_orders, pointer_orders
        Memory: the orders whose counts, and the seeds whose pointers, are features of each token
        (`ops.memory`); None: none. A model without either has no memory.
    memory_pointers, pointer_occurrences, pointer_agreement, pointer_exact, pointer_hits, \
pointer_life
        Memory: `n_pointers`, `n_recent`, `n_agreeing`, `n_exact`, `n_right` and `life` of
        `ops.memory`.
    memory_width
        Memory: inner channels of the network that mixes the features with the last hidden state.
    base_sha256
        Soft prompt: `load.base_sha256` of the language model that it was trained on.
    """

    d_model: int = 128
    n_layer: int = 2
    d_inner: int | None = None
    vocab_size: int = len(DNA_VOCABULARY)
    pad_vocab_size_multiple: int = 8
    n_added_tokens: int = 0
    max_seq_len: int = 1026
    hyena_order: int = 2
    short_filter_order: int = 3
    emb_dim: int = 5
    filter_order: int = 64
    num_inner_mlps: int = 2
    activation_freq: float = 10.0
    filter_shift: float = 0.05
    filter_family: str = "published"
    n_near_taps: int = 0
    shortest_reach: float = 4.0
    longest_reach: float = 0.25
    filter_amplitude: float = 1.0
    amplitude_exponent: float = 1.0
    embed_dropout: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    initializer_gain: float | None = None
    pooling: str = "mean"
    head_dropout: float = 0.0
    target_mean: list[float] | None = None
    target_scale: list[float] | None = None
    n_prompt_tokens: int = 0
    prompt_dropout: float = 0.1
    answer_letters: str | None = None
    base_sha256: str | None = None
    memory_orders: list[int] | None = None
    pointer_orders: list[int] | None = None
    memory_pointers: int = 128
    pointer_occurrences: int = 8
    pointer_agreement: int = 22
    pointer_exact: int = 16
    pointer_hits: int = 6
    pointer_life: int = 2000
    memory_width: int = 256

    def __post_init__(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Fill in derived values, and check everything that concerns a language model.

        Raises
        ------
        InputError
            If a value is invalid.
        """
        _check_kinds(self)
        if self.d_inner is None:
            self.d_inner = 4 * self.d_model
        self.activation_freq = float(self.activation_freq)
        _check_numbers(self)
        _check_reals(self)
        _check_filter(self)
        _check_memory(self)

    @classmethod
    def from_keys(cls: type[A], keys: Mapping[str, Any]) -> A:
        """Return the architecture that the keys of a config.json describe.

        Parameters
        ----------
        keys
            Keys of this package. Those of transformers are ignored.

        Raises
        ------
        InputError
            If a value is invalid or not supported.
        """
        own = {**keys}
        pop_fixed_keys(own)
        own |= {ours: own.pop(theirs) for theirs, ours in ALIASES.items() if theirs in own}
        return cls(**{key: own[key] for key in own.keys() & cls.__dataclass_fields__.keys()})

    def architecture(self) -> dict[str, Any]:
        """Return the values of all keys of `ARCHITECTURE`; those of a memory if it has one."""
        idle = frozenset() if self.has_memory else OF_MEMORY
        return {key: getattr(self, key) for key in sorted(ARCHITECTURE - idle)}

    @property
    def has_memory(self) -> bool:
        """Whether counts or pointers of earlier letters are features."""
        return bool(self.memory_orders or self.pointer_orders)

    @property
    def context_length(self) -> int:
        """The most bases that the model reads at once."""
        return self.max_seq_len - EXTRA_POSITIONS

    @property
    def longest_sequence(self) -> int:
        """The most bases of a sequence: the context length minus a soft prompt."""
        return self.context_length - self.n_prompt_tokens

    def n_positions(self, length: int) -> int:
        """Return the positions that a sequence takes, including a soft prompt and its [SEP]."""
        return length + (self.n_prompt_tokens + 1 if self.n_prompt_tokens else 0)

    @property
    def n_embedding_rows(self) -> int:
        """Rows of the embedding: `vocab_size`, rounded up to a multiple."""
        multiple = self.pad_vocab_size_multiple
        return -(-self.vocab_size // multiple) * multiple

    @classmethod
    def from_preset(
        cls: type[A],
        name: str,
        context_length: int,
        **changes: float | int | str | list[int] | None,
    ) -> A:
        """Return the configuration of a preset.

        Parameters
        ----------
        name
            A key of `PRESETS`.
        context_length
            The most tokens that the model reads at once.
        changes
            Keys of `ARCHITECTURE` whose values replace those of the preset.

        Raises
        ------
        InputError
            If the preset or a key is unknown, a value is invalid, or `max_seq_len` is too small
            for the context.

        Examples
        --------
        >>> Architecture.from_preset("tiny", 1024).max_seq_len
        1026
        """
        if name not in PRESETS:
            raise InputError(f"the preset must be one of {', '.join(PRESETS)}; got {name!r}")
        if context_length < 1:
            raise InputError(f"the context length must be at least 1 token, got {context_length}")
        _check_known(changes)
        n_layer, d_model = PRESETS[name]
        positions = context_length + EXTRA_POSITIONS
        keys: dict[str, Any] = {} if name.startswith("hyenadna-") else _ours(positions)
        keys |= {"n_layer": n_layer, "d_model": d_model, "max_seq_len": positions} | changes
        config = cls(**keys)
        _check_of_family(config.filter_family, changes)
        _check_of_memory(config, changes)
        if config.max_seq_len < positions:
            raise InputError(
                f"a context of {context_length:,} tokens needs max_seq_len of at least "
                f"{positions:,}, got {config.max_seq_len:,}"
            )
        return config


_WHOLE = (
    "d_model", "n_layer", "vocab_size", "pad_vocab_size_multiple", "max_seq_len", "hyena_order",
    "short_filter_order", "emb_dim", "filter_order", "num_inner_mlps", "n_near_taps",
    "n_prompt_tokens", "n_added_tokens", "memory_pointers", "pointer_occurrences",
    "pointer_agreement", "pointer_exact", "pointer_hits", "pointer_life", "memory_width",
)  # fmt: skip
_DROPOUTS = ("embed_dropout", "head_dropout", "prompt_dropout")
_REAL = (
    "activation_freq", "filter_shift", "shortest_reach", "longest_reach",
    "filter_amplitude", "amplitude_exponent", "layer_norm_epsilon", "initializer_range",
    *_DROPOUTS,
)  # fmt: skip

_LISTS = ("memory_orders", "pointer_orders")
OF_MEMORY = frozenset(key for key in _WHOLE if key.startswith(("memory", "pointer"))) | {*_LISTS}
"""Keys that have no effect without a memory, and are then not written."""
_MOST_ORDERS, _MOST_SEEDS, _SHORTEST_SEED, _LONGEST_ORDER = 24, 4, 8, 24
_RANGES = {
    "memory_pointers": (1, 256), "pointer_occurrences": (1, 64), "pointer_agreement": (1, 32),
    "pointer_exact": (8, 32), "pointer_hits": (1, 16), "pointer_life": (1, 1 << 20),
    "memory_width": (2, 1 << 16),
}  # fmt: skip

_LARGEST = 3e38  # just below the largest float32
LARGEST_INTEGER = 1 << 40
"""The largest integer that a key may have."""
_MOST_SHOWN = 60

ARCHITECTURE = frozenset(
    {*_WHOLE, *_REAL, "d_inner", "filter_family", "initializer_gain", *_LISTS}
    - {"vocab_size", "pad_vocab_size_multiple", "n_prompt_tokens", "n_added_tokens", *_DROPOUTS}
)
"""Keys that define a language model and the initialisation of its weights."""


def _check_known(changes: Mapping[str, float | int | str | list[int] | None]) -> None:
    """Raise an InputError if a key is not one of `ARCHITECTURE`."""
    for key in changes.keys() - ARCHITECTURE:
        near = difflib.get_close_matches(key, ARCHITECTURE, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys are {sorted(ARCHITECTURE)}"
        raise InputError(f"unknown key {key!r} of the architecture; {hint}")


def _check_of_family(
    family: str, changes: Mapping[str, float | int | str | list[int] | None]
) -> None:
    """Raise an InputError for a key that has no effect on this family of filters."""
    for other, keys in _OF_FAMILY.items():
        if other != family and (idle := keys & changes.keys()):
            raise InputError(
                f"{min(idle)} is for {other} filters only, and this filter is {family}; remove it"
            )


@typing.no_type_check
def _check_of_memory(
    config: Architecture, changes: Mapping[str, float | int | str | list[int] | None]
) -> None:
    """Raise an InputError for a key of a memory if the model has none."""
    if not config.has_memory and (idle := (OF_MEMORY - {*_LISTS}) & changes.keys()):
        raise InputError(
            f"{min(idle)} is for models with a memory; give memory_orders or pointer_orders, or "
            "remove it"
        )


@typing.no_type_check
def _reals(config: Architecture) -> tuple[str, ...]:
    return _REAL if config.initializer_gain is None else (*_REAL, "initializer_gain")


@typing.no_type_check
def _check_kinds(config: Architecture) -> None:
    """Raise an InputError if a value is not a number of the right kind."""
    for key in (*_WHOLE, *(("d_inner",) if config.d_inner is not None else ())):
        value = getattr(config, key)
        if type(value) is not int:
            raise InputError(f"{key} must be an integer, got {short(value)}")
        if abs(value) > LARGEST_INTEGER:
            raise InputError(f"{key} must be at most {LARGEST_INTEGER:,}, got {short(value)}")
    for key in _reals(config):
        value = getattr(config, key)
        if type(value) not in (int, float) or (type(value) is int and abs(value) > LARGEST_INTEGER):
            raise InputError(f"{key} must be a number, got {short(value)}")


def short(value: object) -> str:
    """Return the representation of a value, truncated for use in a message."""
    if isinstance(value, int) and value.bit_length() > LARGEST_INTEGER.bit_length():
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


@typing.no_type_check
def _check_numbers(config: Architecture) -> None:
    """Raise an InputError for integers that do not describe a model."""
    positive = (
        "d_model", "n_layer", "d_inner", "vocab_size", "pad_vocab_size_multiple", "filter_order",
        "short_filter_order",
    )  # fmt: skip
    for key in positive:
        if getattr(config, key) < 1:
            raise InputError(f"{key} must be at least 1, got {getattr(config, key)}")
    if config.hyena_order < 2:
        raise InputError(f"hyena_order must be at least 2, got {config.hyena_order}")
    if config.emb_dim < 3 or config.emb_dim % 2 == 0:
        raise InputError(f"emb_dim must be odd and at least 3, got {config.emb_dim}")
    if config.max_seq_len <= EXTRA_POSITIONS:
        raise InputError(f"max_seq_len must be above {EXTRA_POSITIONS}, got {config.max_seq_len}")
    if config.num_inner_mlps < 0:
        raise InputError(f"num_inner_mlps must not be negative, got {config.num_inner_mlps}")


@typing.no_type_check
def _check_reals(config: Architecture) -> None:
    """Raise an InputError for numbers that are not finite or out of range."""
    for key in _reals(config):
        if not abs(getattr(config, key)) < _LARGEST:  # also true for NaN
            raise InputError(f"{key} must be a finite number, got {getattr(config, key)}")
    if config.initializer_range < 0:
        raise InputError(f"initializer_range must not be negative, got {config.initializer_range}")
    if config.layer_norm_epsilon <= 0:
        raise InputError(f"layer_norm_epsilon must be above 0, got {config.layer_norm_epsilon}")
    for key in _DROPOUTS:
        if not 0 <= getattr(config, key) <= 1:
            raise InputError(f"{key} must be from 0 to 1, got {getattr(config, key)}")


@typing.no_type_check
def _check_filter(config: Architecture) -> None:
    """Raise an InputError for an invalid filter."""
    if config.filter_family not in FILTER_FAMILIES:
        raise InputError(
            f"filter_family must be one of {', '.join(FILTER_FAMILIES)}; "
            f"got {config.filter_family!r}"
        )
    if not 0 <= config.n_near_taps <= config.max_seq_len:
        raise InputError(
            f"n_near_taps must be from 0 to max_seq_len ({config.max_seq_len:,}); got "
            f"{config.n_near_taps:,}"
        )
    if config.filter_family == "scale-free" and config.emb_dim > _MOST_FEATURES:
        raise InputError(
            f"emb_dim of a scale-free filter must be at most {_MOST_FEATURES}, got {config.emb_dim}"
        )
    for key in ("initializer_gain", "shortest_reach", "longest_reach", "filter_amplitude"):
        value = getattr(config, key)
        if value is not None and not value > 0:
            raise InputError(f"{key} must be above 0, got {value}")


@typing.no_type_check
def _check_memory(config: Architecture) -> None:
    """Raise an InputError for an invalid memory."""
    limits = {"memory_orders": (1, _MOST_ORDERS), "pointer_orders": (_SHORTEST_SEED, _MOST_SEEDS)}
    for key, (shortest, most) in limits.items():
        orders = getattr(config, key)
        if orders is None:
            continue
        is_list = isinstance(orders, list) and all(type(order) is int for order in orders)
        if (
            not is_list
            or len(orders) > most
            or orders != sorted(set(orders))
            or not all(shortest <= order <= _LONGEST_ORDER for order in orders)
        ):
            raise InputError(
                f"{key} must be at most {most} increasing integers from {shortest} to "
                f"{_LONGEST_ORDER}, got {short(orders)}"
            )
    for key, (least, most) in _RANGES.items():
        if not least <= getattr(config, key) <= most:
            raise InputError(
                f"{key} must be from {least:,} to {most:,}, got {getattr(config, key):,}"
            )
