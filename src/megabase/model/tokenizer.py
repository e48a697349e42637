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
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.model.architecture import EXTRA_POSITIONS, MODEL_TYPE
from megabase.model.files import HUB_OPTIONS, read_config_file

_log = logging.getLogger(__name__)

_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OSError, RuntimeError, RecursionError)

# Settings of a folder that are ignored: this class builds the tokenizer itself, and no code runs.
_REBUILT_OR_FOREIGN = (
    "tokenizer_object", "tokenizer_file", "vocab", "post_processor", "auto_map", "characters",
)  # fmt: skip


class HyenaDNATokenizer(TokenizersBackend):
    """One token per nucleotide, with the published ids.

    Lower case counts as upper case, an ambiguity code such as R becomes N, and any other
    character becomes [UNK]. No special tokens are added: a sequence of n letters has n
    tokens. `genome.vocabulary` computes the same ids a thousand times faster on long
    sequences; this class is for tools that need a Hugging Face tokenizer.

    Parameters
    ----------
    model_max_length
        The length to which ``truncation=True`` truncates: the context length of the model with
        which the tokenizer was saved.
    padding_side
        "right" by default, where padding has no effect on a causal model even without a mask.
    **kwargs
        Options of `transformers.TokenizersBackend`.
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
        """Load the tokenizer of a folder or hub id.

        Its `model_max_length` is at most the context length of the model there, unless given.

        Parameters
        ----------
        pretrained_model_name_or_path
            A folder or hub id.
        *arguments, **kwargs
            As in transformers.

        Raises
        ------
        InputError
            If a file of the tokenizer is missing or invalid.
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
        """Encode; log a warning, once, if a character is not in the vocabulary."""
        encoded = super()._encode_plus(*arguments, **kwargs)
        if not self._is_warned and _holds(encoded.get("input_ids"), cast("int", self.unk_token_id)):
            self._is_warned = True
            _log.warning(
                "a character that is not a DNA letter became [UNK], on which no model was trained; "
                "for RNA, replace U by T before encoding: text.replace('U', 'T')"
            )
        return encoded


def context_beside(name: str, hub: Mapping[str, Any]) -> int | float:
    """Return the most letters that the model of a folder or hub id reads, infinity if unknown.

    Parameters
    ----------
    name
        A folder or hub id.
    hub
        Options for the hub's library.
    """
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
    """Return whether the ids of one text, or of several, contain an id."""
    if isinstance(ids, list):
        return wanted in ids or any(_holds(each, wanted) for each in ids if isinstance(each, list))
    return bool((np.asarray(ids) == wanted).any())


def _tokenizer() -> Tokenizer:
    """Build the tokenizer with the ids of `DNA_VOCABULARY`."""
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
