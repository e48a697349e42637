"""HyenaDNAConfig: the architecture as a Hugging Face configuration."""

import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from transformers import PreTrainedConfig

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import (
    ALIASES,
    LARGEST_INTEGER,
    MODEL_TYPE,
    OF_MEMORY,
    POOLED,
    Architecture,
    pop_fixed_keys,
    short,
)

_HEADS = "num_attention_heads"
_DTYPES = ("float32", "float64", "float16", "bfloat16", "auto")
_NESTED = ("text_config", "per_layer_config", "quantization_config")  # of other kinds of models
_MOST_LABELS = 1_000_000


@typing.no_type_check  # transformers makes a dataclass of it and replaces its __init__
class HyenaDNAConfig(Architecture, PreTrainedConfig):
    """The architecture of a HyenaDNA model, and the settings that transformers adds.

    Parameters are those of `Architecture` and of `transformers.PreTrainedConfig`.
    """

    model_type = MODEL_TYPE
    attribute_map = dict(ALIASES)  # noqa: RUF012 transformers needs a plain dict

    pad_token_id: int | None = DNA_VOCABULARY.id_of("[PAD]")
    tie_word_embeddings: bool = True

    @classmethod
    def of(cls, architecture: Architecture) -> "HyenaDNAConfig":
        """Return the configuration of an architecture."""
        return cls(**{each.name: getattr(architecture, each.name) for each in fields(Architecture)})

    def __post_init__(self, **kwargs: Any) -> None:
        for name in self.attribute_map.keys() & kwargs.keys():
            setattr(self, name, kwargs.pop(name))
        pop_fixed_keys(kwargs)
        # The released -hf folders say False, although they hold the tied matrix twice.
        self.tie_word_embeddings = True
        self.settle()
        _check_foreign(self, kwargs)
        _check_labels(self, kwargs)
        PreTrainedConfig.__post_init__(self, **kwargs)
        _check_head(self)
        _check_prompt(self)

    def to_dict(self) -> dict[str, Any]:
        """Return all keys, and 1 attention head, because peft's prompt tuning reads that key."""
        return {**super().to_dict(), _HEADS: 1}

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the keys that are saved; those of a memory if the model has one."""
        left_out = {_HEADS} if self.has_memory else {_HEADS, *OF_MEMORY}
        return {key: value for key, value in super().to_diff_dict().items() if key not in left_out}


@typing.no_type_check
def _check_foreign(config: HyenaDNAConfig, keys: Mapping[str, Any]) -> None:
    """Raise an InputError for values at which transformers would fail."""
    for key in keys:
        is_method = callable(getattr(type(config), key, None))
        if is_method or (key in _NESTED and keys[key] is not None):
            raise InputError(f"HyenaDNA models have no {key}; remove it from the configuration")
    for key in ("dtype", "torch_dtype"):
        value = keys.get(key, vars(config).get(key))
        if isinstance(value, str | int | float | list | dict) and value not in _DTYPES:
            raise InputError(f"{key} must be one of {', '.join(_DTYPES)}; got {short(value)}")
    pad = config.pad_token_id
    if pad is not None and (type(pad) is not int or not 0 <= pad < config.vocab_size):
        raise InputError(
            f"pad_token_id must be the id of a token, below {config.vocab_size}; got {short(pad)}"
        )
    attention = keys.get("attn_implementation")
    if attention is not None and not isinstance(attention, str):
        raise InputError(f"attn_implementation must be a string, got {short(attention)}")


@typing.no_type_check
def _check_labels(config: HyenaDNAConfig, keys: Mapping[str, Any]) -> None:
    """Raise an InputError for labels at which transformers would fail or exhaust the memory."""
    n = keys.get("num_labels")
    if n is not None and (type(n) is not int or not 0 <= n <= _MOST_LABELS):
        raise InputError(f"num_labels must be from 0 to {_MOST_LABELS:,}, got {short(n)}")
    for key in ("id2label", "label2id"):
        value = keys.get(key, getattr(config, key, None))
        if value is not None and not isinstance(value, Mapping):
            raise InputError(f"{key} must be a JSON object, got {short(value)}")
    names = getattr(config, "architectures", None)
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise InputError(f"architectures must be a list of names, got {short(names)}")


@typing.no_type_check
def _check_head(config: HyenaDNAConfig) -> None:
    """Raise an InputError for an invalid pooling, or units that do not match the targets."""
    if config.pooling not in POOLED:
        raise InputError(f"pooling must be one of {', '.join(POOLED)}; got {config.pooling!r}")
    units = (config.target_mean, config.target_scale)
    if units == (None, None):
        return
    for key, values in zip(("target_mean", "target_scale"), units, strict=True):
        if (
            not isinstance(values, list)
            or len(values) != config.num_labels
            or not all(
                type(value) in (int, float) and abs(value) < LARGEST_INTEGER for value in values
            )
        ):
            raise InputError(f"{key} must be a list of {config.num_labels} numbers, got {values!r}")
    if not all(scale > 0 for scale in config.target_scale):
        raise InputError(f"target_scale must be above 0, got {config.target_scale!r}")


@typing.no_type_check
def _check_prompt(config: HyenaDNAConfig) -> None:
    """Raise an InputError for a prompt that is too long, or letters that do not match classes."""
    n, letters = config.n_prompt_tokens, config.answer_letters
    if not 0 <= n < config.context_length:
        raise InputError(
            f"n_prompt_tokens must be below the context length of {config.context_length:,}, to "
            f"leave room for a sequence, and not negative; got {n:,}"
        )
    if (n == 0) != (letters is None):
        raise InputError(
            f"n_prompt_tokens and answer_letters need each other; got {n} and {letters!r}"
        )
    known = {*DNA_VOCABULARY.alphabet.bases, DNA_VOCABULARY.alphabet.unknown}
    if letters is None:
        return
    if not isinstance(letters, str):
        raise InputError(f"answer_letters must be a string, got {short(letters)}")
    if len({*letters} & known) != len(letters) or len(letters) != config.num_labels:
        raise InputError(
            f"answer_letters must be {config.num_labels} different letters of "
            f"{''.join(sorted(known))}, one for each class; got {letters!r}"
        )
