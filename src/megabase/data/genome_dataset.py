"""Windows of genomes as examples for pretraining."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.utils.data import Dataset

from megabase.data.mixture import Window
from megabase.data.token_store import TokenStore
from megabase.genome.vocabulary import DNA_VOCABULARY

NO_TARGET = -100
"""The label of a token that is not to be predicted, as Hugging Face has it."""

Batch = dict[str, Shaped[Tensor, "window length"]]
"""`input_ids`, `labels`, and `loss_weights` where soft-masked bases count otherwise."""


def read_windows(
    stores: Mapping[str, TokenStore], windows: Sequence[Window], *, soft_mask_weight: float = 1.0
) -> Batch:
    """Read windows of one length as a batch.

    N is read but never a target. Each target counts as 1 in the loss, but where its
    letter is soft-masked (in lower case) as `soft_mask_weight`.
    """
    tokens = torch.stack([_tokens(stores[window.genome], window) for window in windows])
    batch = {
        "input_ids": tokens,
        "labels": tokens.masked_fill(tokens == DNA_VOCABULARY.unknown_id, NO_TARGET),
    }
    if soft_mask_weight != 1.0:
        masked = torch.stack([_soft_masked(stores[window.genome], window) for window in windows])
        batch["loss_weights"] = torch.where(masked, soft_mask_weight, 1.0)
    return batch


def _tokens(store: TokenStore, window: Window) -> Tensor:
    return torch.from_numpy(store.fetch(window.interval).astype("int64"))


def _soft_masked(store: TokenStore, window: Window) -> Tensor:
    return torch.from_numpy(store.soft_masked(window.interval).copy())


class StepDataset(Dataset[Batch]):
    """Example k is the batch of step k: all its windows that are this process's share.

    Parameters
    ----------
    stores
        The genomes, by name.
    windows
        Gives the windows of a step.
    n_steps
        How many there are.
    soft_mask_weight
        What a soft-masked base counts in the loss.
    """

    def __init__(
        self,
        stores: Mapping[str, TokenStore],
        windows: Callable[[int], Sequence[Window]],
        n_steps: int,
        *,
        soft_mask_weight: float = 1.0,
    ) -> None:
        self._stores = stores
        self.windows = windows
        self._n_steps = n_steps
        self._soft_mask_weight = soft_mask_weight

    def __len__(self) -> int:
        return self._n_steps

    def __getitem__(self, step: int) -> Batch:
        """Read the windows of a step."""
        windows = self.windows(step)
        return read_windows(self._stores, windows, soft_mask_weight=self._soft_mask_weight)
