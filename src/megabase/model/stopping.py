"""A stopping criterion for `generate()` of transformers: certain letters."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import StoppingCriteria

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY


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
