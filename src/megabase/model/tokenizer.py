"""The vocabulary as a Hugging Face tokenizer."""

import logging
import math
from collections.abc import Mapping
from os import PathLike
from typing import Any, cast

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BatchEncoding, TokenizersBackend

from megabase.errors import InputError
from megabase.genome.alphabet import DNA
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import EXTRA_POSITIONS, MODEL_TYPE
from megabase.model.files import HUB_OPTIONS, read_config_file

_log = logging.getLogger(__name__)

_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OSError, RuntimeError, RecursionError)

# What a folder says of a tokenizer and this class builds itself, or of the folder's own code.
_REBUILT_OR_FOREIGN = (
    "tokenizer_object", "tokenizer_file", "vocab", "post_processor", "auto_map", "characters",
)  # fmt: skip


class HyenaDNATokenizer(TokenizersBackend):
    """One token per nucleotide, under the published ids.

    Lower case counts as upper case, an ambiguity code such as R becomes N, any other
    character becomes [UNK]. No special token is added: a sequence of n letters has n
    tokens. `genome.vocabulary` gives the same ids a thousand times faster on long
    sequences; this class is for the tools that speak Hugging Face.

    Parameters
    ----------
    model_max_length
        The most letters, to which ``truncation=True`` cuts: the context of the model beside which
        the tokenizer was saved.
    padding_side
        "right" by default, where padding is exact in a causal model even without a mask.
    **kwargs
        What `transformers.TokenizersBackend` takes.
    """

    _is_warned = False

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 as transformers has it

    def __init__(self, padding_side: str = "right", **kwargs: Any) -> None:
        named = {
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "eos_token": "[SEP]",
            "bos_token": "[BOS]",
            "mask_token": "[MASK]",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
        }
        for key in _REBUILT_OR_FOREIGN:
            kwargs.pop(key, None)
        super().__init__(
            tokenizer_object=_tokenizer(), padding_side=padding_side, **(named | kwargs)
        )

    @classmethod
    def from_pretrained(  # pyright: ignore[reportIncompatibleMethodOverride] fewer names
        cls, pretrained_model_name_or_path: str | PathLike[str], *arguments: Any, **kwargs: Any
    ) -> "HyenaDNATokenizer":
        """Load a tokenizer; it reads no more letters than the model beside it, unless told so.

        Raises
        ------
        InputError
            If a file of it is damaged.
        """
        name = str(pretrained_model_name_or_path)
        try:
            tokenizer = super().from_pretrained(name, *arguments, **kwargs)
        except _DAMAGED as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"the tokenizer of {name} cannot be read: {reason}") from error
        tokenizer = cast("HyenaDNATokenizer", tokenizer)
        if kwargs.get("model_max_length") is None:
            hub = {key: kwargs[key] for key in HUB_OPTIONS if kwargs.get(key) is not None}
            limit = context_beside(name, hub)
            tokenizer.model_max_length = min(tokenizer.model_max_length, limit)
        return tokenizer

    def _encode_plus(self, *arguments: Any, **kwargs: Any) -> BatchEncoding:
        """Encode, and log a line, once, where a character is none of the vocabulary's."""
        encoded = super()._encode_plus(*arguments, **kwargs)
        if not self._is_warned and _holds(encoded.get("input_ids"), cast("int", self.unk_token_id)):
            self._is_warned = True
            _log.warning(
                "a character that is no letter of DNA became [UNK], which no model has learnt; "
                "of RNA write U as T before it is encoded: text.replace('U', 'T')"
            )
        return encoded


def context_beside(name: str, hub: Mapping[str, Any]) -> int | float:
    """Return the most letters that the model of a folder or hub id reads; no end if unknown."""
    try:
        keys = read_config_file(name, hub)
    except (ValueError, OSError):
        return math.inf
    positions = keys.get("max_seq_len", keys.get("max_position_embeddings"))
    n_prompt = keys.get("n_prompt_tokens", 0)
    if (
        keys.get("model_type") != MODEL_TYPE
        or type(positions) is not int
        or type(n_prompt) is not int
    ):
        return math.inf
    return max(1, positions - EXTRA_POSITIONS - n_prompt)


def _holds(ids: object, wanted: int) -> bool:
    """Whether an id is among those of one text, or of several."""
    if isinstance(ids, list):
        return wanted in ids or any(_holds(each, wanted) for each in ids if isinstance(each, list))
    return bool((np.asarray(ids) == wanted).any())


def _tokenizer() -> Tokenizer:
    """Build the tokenizer that gives the ids of `DNA_VOCABULARY`."""
    ids = {token: i for i, token in enumerate(DNA_VOCABULARY.tokens)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    ambiguous = Regex(f"[{DNA.ambiguous}{DNA.ambiguous.lower()}]")
    upper = [normalizers.Replace(base.lower(), base) for base in DNA.bases + DNA.unknown]
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(ambiguous, DNA.unknown), *upper]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer
