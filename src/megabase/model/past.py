"""What `generate()` of transformers needs: the cache it carries from call to call, and stopping."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
import transformers
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from transformers import StoppingCriteria

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.cache import Cache, why_not_cached

_FEWEST_STEPS = 64  # least capacity of a cache if the final length is unknown


class Past(transformers.Cache):
    """The tokens so far, and a `Cache` while they are extended one at a time.

    Otherwise, or if the model was modified, the whole sequence is recomputed. This allows removing
    tokens (`crop`) and adding several at once, as in assisted decoding.

    Parameters
    ----------
    model
        The causal language model that generates.
    max_length
        The most tokens that will be given, including the prompt; None: unknown.
    """

    is_compileable = False  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    """Whether transformers may compile the decoding steps."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 a causal language model, of the module that imports this one
        max_length: int | None = None,
    ) -> None:
        super().__init__(layers=[])
        self._model, self._max_length = model, max_length
        self._cache: Cache | None = None
        self._taken: list[Tensor] = []
        self._n_tokens = self._n_steps = 0
        self._mask: Tensor | None = None

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens so far; the name is that of transformers."""
        del layer_idx
        return self._n_tokens

    def activate_past_recording(self) -> None:
        """Do nothing; transformers calls it, and all tokens are always recorded."""

    def crop(self, tokens_to_remove: int) -> None:
        """Remove tokens from the end.

        Parameters
        ----------
        tokens_to_remove
            As in transformers: -n removes the last n tokens, n above 0 keeps the first n.
        """
        n_left = self._n_tokens + min(tokens_to_remove, 0)
        n_left = n_left if tokens_to_remove <= 0 else min(tokens_to_remove, self._n_tokens)
        if n_left == self._n_tokens:
            return
        # Truncate the parts of the sequence, which were added by separate calls.
        starts = [0, *accumulate(part.shape[1] for part in self._taken)]
        parts = zip(self._taken, starts, strict=False)
        self._taken = [part[:, : n_left - start] for part, start in parts if start < n_left]
        self._mask = None if self._mask is None else self._mask[:, :n_left]
        self._cache, self._n_tokens = None, n_left

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Reorder the sequences of the batch."""
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some sequences of the batch."""
        self._taken = [part[indices] for part in self._taken]
        self._mask = None if self._mask is None else self._mask[indices]
        self._cache = None

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each sequence of the batch."""
        n_rows = len(self._taken[0]) if self._taken else 0
        self.batch_select_indices(torch.arange(n_rows).repeat_interleave(repeats))

    def note(self, new: Tensor, mask: Tensor | None) -> None:
        """Record tokens without computing anything.

        Parameters
        ----------
        new
            The new tokens, (batch, length), or embedded tokens, (batch, length, d_model).
        mask
            0 where one of all tokens so far is padding, the new ones included; None: the new
            tokens are not padding.
        """
        self._taken.append(new.detach())
        self._n_tokens += new.shape[1]
        if mask is not None:
            self._mask = mask.bool()
        elif self._mask is not None:
            self._mask = functional.pad(self._mask, (0, new.shape[1]), value=True)

    def take(
        self, new: Tensor, mask: Tensor | None, kept: int | Tensor
    ) -> Float[Tensor, "batch kept token"]:
        """Append the prompts, or tokens after them, and return logits of the new tokens.

        Parameters
        ----------
        new
            The new tokens, (batch, length), or embedded tokens, (batch, length, d_model).
        mask
            0 where one of all tokens is padding, which must be on the left.
        kept
            Number of last logits to return, or indices of new tokens.

        Raises
        ------
        InputError
            If the tokens exceed the positions of the model.
        """
        length = new.shape[1]
        self._check_length(length)
        self.note(new, mask)
        is_last = isinstance(kept, int) and kept == 1
        if is_last and self._cache is not None and self._n_steps and new.shape[1:] == (1,):
            self._n_steps -= 1
            logits = self._cache.step(new[:, 0])
        elif is_last and not self._is_changed():
            logits = self._absorbed()
        else:
            return self._computed_again(length, kept)
        return logits[:, None].clone()  # a tensor outside inference mode, which callers may modify

    def _is_changed(self) -> bool:
        return self._model.training or why_not_cached(self._model.backbone) is not None

    def _check_length(self, length: int) -> None:
        total, limit = self._n_tokens + length, self._model.config.max_seq_len
        if total > limit:
            raise InputError(
                f"{self._n_tokens:,} tokens and {length:,} more exceed this model's {limit:,} "
                "positions; shorten one of them"
            )

    def _whole(self) -> tuple[Tensor, bool]:
        """Return all tokens so far, and whether they are embedded, as they are if a part is."""
        is_embedded = any(part.ndim > 2 for part in self._taken)
        embedding = self._model.backbone.embedding
        parts = [
            embedding(part) if is_embedded and part.ndim == 2 else part for part in self._taken
        ]
        return torch.cat(parts, dim=1), is_embedded

    def _absorbed(self) -> Tensor:
        """Read all tokens so far into a new cache with room for later tokens."""
        n_left = self._model.config.max_seq_len - self._n_tokens
        if self._max_length is None or self._max_length < self._n_tokens:
            self._n_steps = min(n_left, max(_FEWEST_STEPS, self._n_tokens))
        else:
            self._n_steps = self._max_length - self._n_tokens
        self._cache = Cache(self._model.backbone, self._n_steps)
        whole, is_embedded = self._whole()
        if is_embedded:
            return self._cache.absorb_embedded(whole, self._mask)
        return self._cache.absorb(whole, self._mask)

    @torch.no_grad()
    def _computed_again(self, length: int, kept: int | Tensor) -> Tensor:
        """Recompute the whole sequence, and return logits of its last tokens."""
        self._cache = None
        whole, is_embedded = self._whole()
        # Indices count from the first new token; the model counts from the start.
        keep = kept if isinstance(kept, int) else kept + self._n_tokens - length
        tokens = {"inputs_embeds" if is_embedded else "input_ids": whole}
        return self._model(**tokens, attention_mask=self._mask, logits_to_keep=keep).logits


class StopLetters(StoppingCriteria):
    """Stops a sequence when it ends with one of the given strings of A, C, G, T and N.

    It replaces the criterion of transformers, which splits tokens into letters with a test word
    that a DNA tokenizer cannot encode.

    Parameters
    ----------
    strings
        One or several strings; lower case counts as upper case.

    Raises
    ------
    InputError
        If a string is empty or has another letter.
    """

    def __init__(self, strings: str | Sequence[str]) -> None:
        self._ends = [
            _tokens(each) for each in ([strings] if isinstance(strings, str) else strings)
        ]

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] its tensor type
        self,
        input_ids: Int[Tensor, "batch length"],
        scores: object,
        **kwargs: Any,
    ) -> Bool[Tensor, " batch"]:
        """Return which sequences end with one of the strings."""
        del scores, kwargs
        is_over = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        for end in self._ends:
            last = input_ids[:, -len(end) :]
            if last.shape[1] == len(end):
                is_over |= (last == end.to(last.device)).all(dim=1)
        return is_over


def _tokens(letters: str) -> Tensor:
    encoded = DNA_VOCABULARY.encode(letters, name="a stop string")
    if not letters or encoded.n_ambiguous:
        raise InputError(
            f"a stop string must have letters A, C, G, T and N only, and at least one; "
            f"got {letters!r}"
        )
    return torch.from_numpy(encoded.tokens.astype("int64"))
