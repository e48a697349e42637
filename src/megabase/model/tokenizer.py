"""The vocabulary as a Hugging Face tokenizer."""

from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import TokenizersBackend

from megabase.genome.alphabet import DNA
from megabase.genome.vocabulary import DNA_VOCABULARY

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
    padding_side
        "right" by default, where padding is exact in a causal model even without a mask.
    **kwargs
        What `transformers.TokenizersBackend` takes.
    """

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
