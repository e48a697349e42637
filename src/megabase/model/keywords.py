"""Checks of the keywords that transformers, peft and the Trainer pass to any model.

A model of this package has no attention, and always counts positions from the first token. A
keyword for these is accepted if it has no effect, and refused if the model cannot honour it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from megabase.errors import InputError
from megabase.ops.tracing import why_traced

_ALWAYS = {"use_cache"}  # ignored: causal language models, which have a cache, name it themselves
_PACKED = {"cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx"}
_ONLY_CAUSAL = {"logits_to_keep", "num_items_in_batch"}

NO_PREFIX = (
    "past_key_values of another kind, such as those of peft's prefix tuning, are for attention, "
    "which this model lacks; use PromptTuningConfig, PromptEncoderConfig (p-tuning) or LoraConfig"
)


def check_keywords(
    keywords: Mapping[str, Any],
    attention_mask: Tensor | None,
    *,
    length: int,
    n_before: int = 0,
) -> None:
    """Raise an error for keywords of `forward` that the model cannot honour.

    Parameters
    ----------
    keywords
        What `forward` received besides its named arguments.
    attention_mask
        (batch, n_before + length), 0 where a token is padding.
    length, n_before
        Tokens of this call, and tokens that a cache already holds.

    Raises
    ------
    InputError
        If a keyword is known and cannot be honoured.
    TypeError
        If a keyword is unknown.
    """
    _check_mask(attention_mask, n_before + length)
    for key, value in keywords.items():
        if value is None or key in _ALWAYS:
            continue
        if key in ("position_ids", "cache_position"):
            _check_positions(key, value, attention_mask, range(n_before, n_before + length))
        elif key in _CHECKS:
            _CHECKS[key](key, value)
        elif key in _PACKED:
            raise InputError(f"{key}: packed sequences are not supported; pad them instead")
        else:
            raise TypeError(f"forward() got an unexpected keyword argument {key!r}")


def check_causal(past_key_values: object, keywords: Mapping[str, Any]) -> None:
    """Raise an InputError for arguments that only a causal language model accepts."""
    if past_key_values is not None:
        raise InputError(NO_PREFIX)
    for key in _ONLY_CAUSAL & keywords.keys():
        if keywords[key] is not None:
            raise InputError(f"{key} is for the causal language model; leave it out here")


def check_generation(passed: Mapping[str, Any], mask: Tensor | None, prompt: Tensor) -> None:
    """Raise an InputError for keywords of `generate` that later steps would ignore.

    Parameters
    ----------
    passed
        Keywords of `generate` that reach the model.
    mask
        0 where a token of the prompt is padding.
    prompt
        Tokens of the prompt, or embedded tokens.
    """
    known = ({*_CHECKS, "position_ids"} | _PACKED) & passed.keys()
    check_keywords({key: passed[key] for key in known}, mask, length=prompt.shape[1])


def _refuse_if_true(key: str, value: object) -> None:
    if value:
        raise InputError(f"{key} is not supported: this model has no attention; leave it out")


def _refuse_unless_zero(key: str, value: object) -> None:
    if why_traced() is not None or not isinstance(value, Tensor) or bool(value.any()):
        raise InputError(f"{key} must be all 0 or left out: this model has one kind of token")


_CHECKS = {
    "output_attentions": _refuse_if_true,
    "head_mask": _refuse_if_true,
    "token_type_ids": _refuse_unless_zero,
}


def _check_mask(mask: Tensor | None, length: int) -> None:
    if mask is not None and (mask.ndim != 2 or mask.shape[1] != length):
        raise InputError(
            f"attention_mask must be (batch, {length}), 0 where a token is padding; got "
            f"{tuple(mask.shape)}"
        )


def _check_positions(key: str, given: object, mask: Tensor | None, expected: range) -> None:
    """Raise an InputError unless positions count the tokens, with or without padding."""
    if why_traced() is not None:
        raise InputError(f"{key} cannot be checked while a model is traced; leave it out")
    where = f"from {expected.start} to {expected.stop - 1}"
    remedy = f"{key} must count the tokens {where}, or be left out"
    if not isinstance(given, Tensor) or not given.ndim or given.shape[-1] != len(expected):
        raise InputError(f"{remedy}; got {getattr(given, 'shape', given)}")
    in_order = torch.arange(expected.start, expected.stop, device=given.device)
    is_right = given == in_order
    if mask is not None:
        is_real = mask.bool().to(given.device)
        counted = (is_real.cumsum(-1) - 1)[:, expected.start :]
        is_real = is_real[:, expected.start :]
        is_right = is_right.all(-1, keepdim=True) | ((given == counted) | ~is_real).all(-1, True)
    if not bool(is_right.all()):
        raise InputError(f"{remedy}: the model depends on distances alone")
