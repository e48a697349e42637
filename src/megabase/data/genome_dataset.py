"""Windows of a genome as examples for pretraining."""

from collections.abc import Callable

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import Dataset

from megabase.data.token_store import TokenStore
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY

NO_TARGET = -100
"""The label of a token that is not to be predicted, as Hugging Face has it."""


class GenomeDataset(Dataset[dict[str, Tensor]]):
    """Examples with the tokens of a window, and the same as labels where they are targets.

    Parameters
    ----------
    store
        The genome.
    window
        Gives window number i; all have one length.
    n_windows
        How many there are.
    """

    def __init__(
        self, store: TokenStore, window: Callable[[int], Interval], n_windows: int
    ) -> None:
        self._store = store
        self._window = window
        self._n_windows = n_windows

    def __len__(self) -> int:
        return self._n_windows

    def __getitem__(self, index: int) -> dict[str, Int64[Tensor, " length"]]:
        """Give example number `index`; N is read but never a target."""
        tokens = torch.from_numpy(self._store.fetch(self._window(index)).astype("int64"))
        labels = tokens.masked_fill(tokens == DNA_VOCABULARY.unknown_id, NO_TARGET)
        return {"input_ids": tokens, "labels": labels}
