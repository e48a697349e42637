"""What a model expects at each base of a long sequence: four probabilities, and what follows."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from megabase.errors import InputError, WorkError
from megabase.genome.alphabet import DNA
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.likelihood import TOKENS_PER_BATCH, base_log_probabilities, logits_before
from megabase.inference.windows import Window
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.padding import TokenArray

QUANTITIES = ("surprisal", "entropy", "p_A", "p_C", "p_G", "p_T")
"""Of each base: surprisal and entropy in bits, and the probability of each letter."""


def base_quantity(
    name: str,
    log_p: Float32[np.ndarray, "length base"],
    tokens: UInt8[np.ndarray, " length"],
) -> Float32[np.ndarray, " length"]:
    """Compute one of `QUANTITIES`.

    Surprisal is -log2 of the probability of the base that stands there, NaN where that is N;
    entropy is its expectation, at most 2.

    Parameters
    ----------
    name
        Which.
    log_p
        Natural logarithms of the probabilities of A, C, G, T.
    tokens
        What stands there.
    """
    if name == "surprisal":
        index = np.clip(tokens.astype(np.int64) - DNA_VOCABULARY.base_ids[0], 0, 3)
        bits = -log_p[np.arange(len(tokens)), index] / np.float32(math.log(2))
        return np.where(np.isin(tokens, DNA_VOCABULARY.base_ids), bits, np.float32(np.nan))
    if name == "entropy":
        return -(np.exp(log_p) * log_p).sum(axis=1) / np.float32(math.log(2))
    if name in QUANTITIES:
        return np.exp(log_p[:, "ACGT".index(name[-1])])
    raise InputError(f"expected one of {', '.join(QUANTITIES)}; got {name!r}")


def on_other_strand(name: str) -> str:
    """Give the quantity that, on the other strand, stands for the same.

    Examples
    --------
    >>> on_other_strand("p_A"), on_other_strand("entropy")
    ('p_T', 'entropy')
    """
    return f"p_{DNA.reverse_complement(name[-1])}" if name.startswith("p_") else name


def log_probabilities(
    model: HyenaDNAForCausalLM, tokens: TokenArray, windows: Sequence[Window]
) -> Iterator[Float32[np.ndarray, "scored base"]]:
    """Give, for each window, ln p of A, C, G, T at the positions that it scores.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device that shall do the work.
    tokens
        Of the whole sequence.
    windows
        Of it, all of one length.

    Raises
    ------
    WorkError
        If the model answers with no number.
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
                raise WorkError("the model's answer is no number: its weights have diverged")
            yield scored
