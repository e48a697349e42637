"""The cache that `generate()` of transformers carries from token to token."""

from jaxtyping import Float, Int
from torch import Tensor

from megabase.errors import InputError
from megabase.model.backbone import Backbone
from megabase.model.cache import Cache


class Past:
    """A `Cache` that is made once the length of the prompt is known.

    Parameters
    ----------
    backbone
        Of the model that generates.
    max_length
        The most tokens that it will be given, the prompt's included.
    """

    is_compileable = False
    """Transformers' question: whether its steps can be compiled."""

    def __init__(self, backbone: Backbone, max_length: int) -> None:
        self._backbone, self._max_length = backbone, max_length
        self._cache: Cache | None = None
        self._n_tokens = 0

    def get_seq_length(self) -> int:
        """Count the tokens so far, under transformers' name."""
        return self._n_tokens

    def take(
        self, tokens: Int[Tensor, "batch length"], mask: Tensor | None
    ) -> Float[Tensor, "batch 1 token"]:
        """Take in the prompts, or after them one token of each; give the logits after the last.

        Parameters
        ----------
        tokens
            All tokens of the prompts, or one of each sequence.
        mask
            0 where a token of a prompt is padding, which stands on its left.
        """
        if self._cache is None:
            self._cache = Cache(self._backbone, max(0, self._max_length - tokens.shape[1]))
            logits = self._cache.absorb(tokens, None if mask is None else mask.bool())
        elif tokens.shape[1] == 1:
            logits = self._cache.step(tokens[:, 0])
        else:
            raise InputError(
                f"after the prompt a cache takes one token at a time, got {tokens.shape[1]}"
            )
        self._n_tokens += tokens.shape[1]
        return logits[:, None].clone()  # outside of inference mode: its owner may write on it
