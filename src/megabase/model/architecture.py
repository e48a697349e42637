"""Architecture: every number of a model, under its published key; without torch."""

import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY

A = TypeVar("A", bound="Architecture")

POOLED = ("mean", "last", "max", "centre")
"""The poolings that make one vector of a sequence."""

EXTRA_POSITIONS = 2
"""What a released model's grid has beyond its context length, for special tokens."""

HEAD_PREFIX, PROMPT_PREFIX = "head.", "prompt."
"""What the names of the tensors of a head and of a soft prompt begin with."""

JOINT = ";"
"""What stands between the names of several labels where they are one text."""

MODEL_TYPE = "hyenadna"
"""What config.json calls our models."""

FILTER_FAMILIES = ("published", "scale-free")
"""The shapes that a filter can have, `model.filter_shape`."""

_OF_FAMILY = {
    "published": {"filter_shift"},
    "scale-free": {"shortest_reach", "longest_reach", "filter_amplitude", "amplitude_exponent"},
}
_MOST_FEATURES = 21  # scale-free: on a grid of 1e6 float32 has those of more turns wrong by 1e-3


def _ours(positions: int) -> dict[str, Any]:
    """Give what our presets have in place of the published filter and its starting weights."""
    return {
        "filter_family": "scale-free", "emb_dim": 9, "activation_freq": 1.0,
        "n_near_taps": min(64, positions), "initializer_gain": 1.0,
    }  # fmt: skip


# Layers x width: our sizes, named from 40m on by their parameters, and those of
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

# Keys of the released -hf folders that name an option which no released model uses.
ONE_VALUE = {
    "hyena_dropout": 0.0, "hyena_filter_dropout": 0.0, "train_freq": True, "use_bias": True,
}  # fmt: skip


ALIASES: Mapping[str, str] = {
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layer",
    "intermediate_size": "d_inner",
    "max_position_embeddings": "max_seq_len",
}
"""What transformers calls some keys."""


def take_fixed(keys: dict[str, Any]) -> None:
    """Take out of the keys of a config.json what has one value in every model of ours.

    Raises
    ------
    InputError
        If one has another, or the keys are of an original release.
    """
    if "layer" in keys:
        raise InputError(
            "this config.json is of an original release; `megabase convert` makes a plain "
            "folder of it, and megabase.load reads it as it is"
        )
    for key, required in ONE_VALUE.items():
        if keys.pop(key, required) != required:
            raise InputError(f"{key} can only be {required!r} in a HyenaDNA model")
    keys.pop("auto_map", None)  # where the folder's own code lies: only ours runs


@typing.no_type_check  # its own checks name what is wrong
@dataclass(kw_only=True)
class Architecture:
    """The architecture of a HyenaDNA model.

    Parameters
    ----------
    d_model, n_layer, d_inner
        Channels, blocks, and channels inside the MLP (None: four times `d_model`).
    vocab_size, pad_vocab_size_multiple
        Tokens, and the number whose multiple the rows of the embedding are.
    n_added_tokens
        Tokens after those of DNA that `resize_token_embeddings` added.
    max_seq_len
        Positions of the filter's grid: the context length plus `EXTRA_POSITIONS`.
    hyena_order, short_filter_order
        Gates of the operator, and taps of its short convolution.
    emb_dim, filter_order, num_inner_mlps, activation_freq, filter_shift
        Of the implicit filter: features of a position, width, hidden layers after the
        first, starting frequency of the sines, floor of the window (of the published family).
    filter_family, n_near_taps
        Of the implicit filter: one of `FILTER_FAMILIES`, and how many of its first taps are
        parameters too.
    shortest_reach, longest_reach, filter_amplitude, amplitude_exponent
        Of the scale-free family: tokens that the window of the first channel reaches, fraction of
        the grid that the last one's does, height of a window of reach 1, and the power of its
        reach by which a window's height is divided.
    embed_dropout
        Chance that a channel of an embedded token is dropped in training.
    layer_norm_epsilon, initializer_range
        What the norms add to the variance; standard deviation of the starting weights.
    initializer_gain
        Of linear maps, the filter's too: that standard deviation times the root of a map's
        inputs (None: it is `initializer_range`, whatever the inputs, as published).
    pooling, head_dropout
        Of a head on whole sequences: one of `POOLED`, and the chance that a channel of what
        was pooled is dropped in training.
    target_mean, target_scale
        Of a regression: mean and standard deviation of each target in training, in its own
        unit. The head works in standard units and answers in those of the targets.
    n_prompt_tokens, prompt_dropout, answer_letters
        Of a soft prompt: its vectors (0: there is none), the chance that a channel of one is
        dropped in training, and the letter of each class, such as "AN".
    base_sha256
        Of a soft prompt: `load.weights_sha256` of the language model that it was learnt on.
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

    def __post_init__(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Fill in what follows from other numbers, and check all that are of a language model.

        Raises
        ------
        InputError
            If there is no model of such numbers.
        """
        _check_kinds(self)
        if self.d_inner is None:
            self.d_inner = 4 * self.d_model
        self.activation_freq = float(self.activation_freq)
        _check_numbers(self)
        _check_reals(self)
        _check_filter(self)

    @classmethod
    def from_keys(cls: type[A], keys: Mapping[str, Any]) -> A:
        """Read the keys of a config.json of ours; those of transformers are passed over.

        Raises
        ------
        InputError
            If an option asks for something that this model is not.
        """
        own = {**keys}
        take_fixed(own)
        own |= {ours: own.pop(theirs) for theirs, ours in ALIASES.items() if theirs in own}
        return cls(**{key: own[key] for key in own.keys() & cls.__dataclass_fields__.keys()})

    def architecture(self) -> dict[str, Any]:
        """Give all keys of `ARCHITECTURE`."""
        return {key: getattr(self, key) for key in sorted(ARCHITECTURE)}

    @property
    def context_length(self) -> int:
        """The most letters the model is meant to read at once."""
        return self.max_seq_len - EXTRA_POSITIONS

    @property
    def longest_sequence(self) -> int:
        """The most letters of a sequence: the context, less a soft prompt."""
        return self.context_length - self.n_prompt_tokens

    def n_positions(self, length: int) -> int:
        """Count the positions that a sequence takes: with a soft prompt, it and [SEP] too."""
        return length + (self.n_prompt_tokens + 1 if self.n_prompt_tokens else 0)

    @property
    def n_embedding_rows(self) -> int:
        """Rows of the embedding: `vocab_size`, rounded up."""
        multiple = self.pad_vocab_size_multiple
        return -(-self.vocab_size // multiple) * multiple

    @classmethod
    def from_preset(
        cls: type[A], name: str, context_length: int, **changes: float | int | str | None
    ) -> A:
        """Give the configuration of a named size for a context length in tokens.

        Parameters
        ----------
        name
            Of `PRESETS`.
        context_length
            In tokens.
        changes
            Keys of the architecture, `ARCHITECTURE`, with other values than the preset has.

        Raises
        ------
        InputError
            If there is no such preset, key or model, or its grid does not hold the context.

        Examples
        --------
        >>> Architecture.from_preset("tiny", 1024).max_seq_len
        1026
        """
        if name not in PRESETS:
            raise InputError(f"a preset is one of {', '.join(PRESETS)}; got {name!r}")
        if context_length < 1:
            raise InputError(f"a context length is at least 1 token, got {context_length}")
        _check_known(changes)
        n_layer, d_model = PRESETS[name]
        positions = context_length + EXTRA_POSITIONS
        keys: dict[str, Any] = {} if name.startswith("hyenadna-") else _ours(positions)
        keys |= {"n_layer": n_layer, "d_model": d_model, "max_seq_len": positions} | changes
        config = cls(**keys)
        _check_of_family(config.filter_family, changes)
        if config.max_seq_len < positions:
            raise InputError(
                f"a context of {context_length:,} tokens needs max_seq_len of at least "
                f"{positions:,}, got {config.max_seq_len:,}"
            )
        return config


_WHOLE = (
    "d_model", "n_layer", "vocab_size", "pad_vocab_size_multiple", "max_seq_len", "hyena_order",
    "short_filter_order", "emb_dim", "filter_order", "num_inner_mlps", "n_near_taps",
    "n_prompt_tokens", "n_added_tokens",
)  # fmt: skip
_REAL = (
    "activation_freq", "filter_shift", "shortest_reach", "longest_reach",
    "filter_amplitude", "amplitude_exponent", "embed_dropout", "layer_norm_epsilon",
    "initializer_range", "head_dropout", "prompt_dropout",
)  # fmt: skip

_LARGEST = 3e38  # of float32
MOST_OF_NUMBER = 1 << 40
"""The largest whole number that a key may have."""
_MOST_SHOWN = 60

ARCHITECTURE = frozenset(
    {*_WHOLE, *_REAL, "d_inner", "filter_family", "initializer_gain"}
    - {"vocab_size", "pad_vocab_size_multiple", "n_prompt_tokens", "n_added_tokens"}
    - {"prompt_dropout", "head_dropout", "embed_dropout"}
)
"""Keys that say what a language model is, and how its weights start."""


def _check_known(changes: Mapping[str, float | int | str | None]) -> None:
    """Refuse keys that an architecture has none of."""
    for key in changes.keys() - ARCHITECTURE:
        near = difflib.get_close_matches(key, ARCHITECTURE, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {sorted(ARCHITECTURE)}"
        raise InputError(f"there is no key {key!r} of the architecture; {hint}")


def _check_of_family(family: str, changes: Mapping[str, float | int | str | None]) -> None:
    """Refuse keys that change nothing of a filter."""
    for other, keys in _OF_FAMILY.items():
        if other != family and (idle := keys & changes.keys()):
            raise InputError(f"{min(idle)} is of a {other} filter, and this one is {family}")


@typing.no_type_check
def _reals(config: Architecture) -> tuple[str, ...]:
    return _REAL if config.initializer_gain is None else (*_REAL, "initializer_gain")


@typing.no_type_check
def _check_kinds(config: Architecture) -> None:
    """Refuse what is no number."""
    for key in (*_WHOLE, *(("d_inner",) if config.d_inner is not None else ())):
        value = getattr(config, key)
        if type(value) is not int:
            raise InputError(f"{key} must be a whole number, got {short(value)}")
        if abs(value) > MOST_OF_NUMBER:
            raise InputError(f"{key} must be at most {MOST_OF_NUMBER:,}, got {short(value)}")
    for key in _reals(config):
        value = getattr(config, key)
        if type(value) not in (int, float) or (type(value) is int and abs(value) > MOST_OF_NUMBER):
            raise InputError(f"{key} must be a number, got {short(value)}")


def short(value: object) -> str:
    """Return a value as a message can hold it, however long its number is."""
    if isinstance(value, int) and value.bit_length() > MOST_OF_NUMBER.bit_length():
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


@typing.no_type_check
def _check_numbers(config: Architecture) -> None:
    """Refuse numbers for which there is no model."""
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
    """Refuse numbers of which no weight or answer could be computed."""
    for key in _reals(config):
        if not abs(getattr(config, key)) < _LARGEST:  # which NaN is not either
            raise InputError(f"{key} must be a finite number, got {getattr(config, key)}")
    if config.initializer_range < 0:
        raise InputError(f"initializer_range must not be negative, got {config.initializer_range}")
    if config.layer_norm_epsilon <= 0:
        raise InputError(f"layer_norm_epsilon must be above 0, got {config.layer_norm_epsilon}")


@typing.no_type_check
def _check_filter(config: Architecture) -> None:
    """Refuse a filter that there is none of."""
    if config.filter_family not in FILTER_FAMILIES:
        raise InputError(
            f"filter_family is one of {', '.join(FILTER_FAMILIES)}; got {config.filter_family!r}"
        )
    if not 0 <= config.n_near_taps <= config.max_seq_len:
        raise InputError(
            f"n_near_taps must be from 0 to max_seq_len, {config.max_seq_len:,}; got "
            f"{config.n_near_taps:,}"
        )
    if config.filter_family == "scale-free" and config.emb_dim > _MOST_FEATURES:
        raise InputError(
            f"emb_dim of a scale-free filter is at most {_MOST_FEATURES}, got {config.emb_dim}"
        )
    for key in ("initializer_gain", "shortest_reach", "longest_reach", "filter_amplitude"):
        value = getattr(config, key)
        if value is not None and not value > 0:
            raise InputError(f"{key} must be above 0, got {value}")
