"""HyenaDNAConfig: the architecture as a configuration of Hugging Face."""

import typing
from dataclasses import fields
from typing import Any

from transformers import PreTrainedConfig

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import (
    ALIASES,
    MODEL_TYPE,
    POOLED,
    Architecture,
    take_fixed,
)


@typing.no_type_check  # transformers makes a dataclass of it and replaces its __init__
class HyenaDNAConfig(Architecture, PreTrainedConfig):
    """The architecture of a HyenaDNA model, and what transformers keeps beside it.

    It takes the keys of `Architecture`, and those of `transformers.PreTrainedConfig`.
    """

    model_type = MODEL_TYPE
    attribute_map = dict(ALIASES)  # noqa: RUF012 transformers asks for a plain dict

    pad_token_id: int | None = DNA_VOCABULARY.id_of("[PAD]")
    tie_word_embeddings: bool = True

    @classmethod
    def of(cls, architecture: Architecture) -> "HyenaDNAConfig":
        """Return the configuration of an architecture."""
        return cls(**{each.name: getattr(architecture, each.name) for each in fields(Architecture)})

    def __post_init__(self, **kwargs: Any) -> None:
        for name in self.attribute_map.keys() & kwargs.keys():
            setattr(self, name, kwargs.pop(name))
        take_fixed(kwargs)
        self.tie_word_embeddings = True  # the -hf folders say False and hold the tied matrix twice
        self.settle()
        PreTrainedConfig.__post_init__(self, **kwargs)
        _check_head(self)
        _check_prompt(self)


@typing.no_type_check
def _check_head(config: HyenaDNAConfig) -> None:
    """Refuse a pooling that is none, and units that are not those of the targets."""
    if config.pooling not in POOLED:
        raise InputError(f"pooling is one of {', '.join(POOLED)}; got {config.pooling!r}")
    units = (config.target_mean, config.target_scale)
    if units == (None, None):
        return
    for key, values in zip(("target_mean", "target_scale"), units, strict=True):
        if not isinstance(values, list) or len(values) != config.num_labels:
            raise InputError(f"{key} must be a list of {config.num_labels} numbers, got {values!r}")
    if not all(scale > 0 for scale in config.target_scale):
        raise InputError(f"target_scale must be above 0, got {config.target_scale!r}")


@typing.no_type_check
def _check_prompt(config: HyenaDNAConfig) -> None:
    """Refuse a prompt that leaves no room, and letters that are not one for each class."""
    n, letters = config.n_prompt_tokens, config.answer_letters
    if not 0 <= n < config.context_length:
        raise InputError(
            f"n_prompt_tokens must be below the context length of {config.context_length:,}, to "
            f"leave room for a sequence, and not negative; got {n:,}"
        )
    if (n == 0) != (letters is None):
        raise InputError(f"n_prompt_tokens and answer_letters go together; got {n}, {letters!r}")
    known = {*DNA_VOCABULARY.alphabet.bases, DNA_VOCABULARY.alphabet.unknown}
    if letters is None:
        return
    if len({*letters} & known) != len(letters) or len(letters) != config.num_labels:
        raise InputError(
            f"answer_letters must be {config.num_labels} different letters of "
            f"{''.join(sorted(known))}, one for each class; got {letters!r}"
        )
