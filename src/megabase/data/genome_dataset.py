"""Read windows of genomes as training examples for pretraining."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.utils.data import Dataset

from megabase.data.mixture import Window
from megabase.data.token_store import TokenStore
from megabase.genome.vocabulary import DNA_VOCABULARY

NO_TARGET = -100
"""The label of a token that does not count in the loss, as in Hugging Face models."""

Batch = dict[str, Shaped[Tensor, "window length"]]
"""`input_ids`, `labels`, and `loss_weights` if soft-masked bases have another weight."""


def read_windows(
    stores: Mapping[str, TokenStore], windows: Sequence[Window], *, soft_mask_weight: float = 1.0
) -> Batch:
    """Read windows of the same length as a batch.

    N is an input but never a target.

    Parameters
    ----------
    stores
        The token store of each genome, by name.
    windows
        The windows, all of the same length.
    soft_mask_weight
        Weight in the loss of a soft-masked (lower-case) base; every other base has weight 1.
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
    """A data set whose example k is the batch of step k: this process's windows of the step.

    Parameters
    ----------
    stores
        The token store of each genome, by name.
    windows
        Returns the windows of a step that this process reads.
    n_steps
        Number of steps.
    soft_mask_weight
        Weight in the loss of a soft-masked (lower-case) base; every other base has weight 1.
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
        """Read the batch of a step."""
        windows = self.windows(step)
        return read_windows(self._stores, windows, soft_mask_weight=self._soft_mask_weight)
