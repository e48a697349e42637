"""The probabilities of A, C, G, T that a model predicts at each base of a long sequence."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32

from megabase.errors import WorkError
from megabase.genome.vocabulary import TokenArray
from megabase.inference.likelihood import TOKENS_PER_BATCH, base_log_probabilities, logits_before
from megabase.inference.windows import Window
from megabase.model.language import LanguageModel


def log_probabilities(
    model: LanguageModel, tokens: TokenArray, windows: Sequence[Window]
) -> Iterator[Float32[np.ndarray, "scored base"]]:
    """Yield, for each window, ln p of A, C, G, T at the positions that it scores.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    tokens
        Token ids of the whole sequence.
    windows
        Windows of the sequence, all of the same length.

    Raises
    ------
    WorkError
        If the model's output is NaN.
    """
    length = windows[0].end - windows[0].start
    at_once = max(1, TOKENS_PER_BATCH // length)
    device = next(model.parameters()).device
    for start in range(0, len(windows), at_once):
        batch = windows[start : start + at_once]
        rows = np.stack([tokens[window.start : window.end] for window in batch])
        with torch.inference_mode():
            logits = logits_before(model, torch.from_numpy(rows.astype(np.int64)).to(device))
            log_p = torch.cat([base_log_probabilities(part) for _, part in logits], dim=1)
        for window, values in zip(batch, log_p.cpu().numpy(), strict=True):
            scored = values[window.first - window.start :]
            if np.isnan(scored).any():
                raise WorkError("the model's output is NaN: its weights have diverged")
            yield scored
