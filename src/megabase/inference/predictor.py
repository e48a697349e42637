"""Predictor: a model that is loaded, on its device, and ready to answer."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float32

from megabase.inference.device import choose_device
from megabase.inference.likelihood import TOKENS_PER_BATCH, TokenArray, log_likelihoods
from megabase.inference.plan import InferencePlan, plan_inference
from megabase.model.load import Loaded, load, weights_sha256


class Predictor:
    """Answers for arrays of tokens.

    Parameters
    ----------
    loaded
        The model.
    device
        Where it shall run.
    """

    def __init__(self, loaded: Loaded, device: torch.device) -> None:
        self.model = loaded.model
        self.model.to(device)  # pyright: ignore[reportArgumentType] transformers hides its self
        self.revision = loaded.revision
        self.context_length: int = loaded.model.config.context_length
        self.weights_sha256 = weights_sha256(loaded.model)

    @classmethod
    def load(cls, name: str, *, device: str = "auto") -> "Predictor":
        """Load what `model.load.load` takes, onto a device of `choose_device`."""
        return cls(load(name), choose_device(device))

    def plan(self, *, longest: int, n_tokens: int) -> InferencePlan:
        """Tell memory and time of log-likelihoods, as `plan.plan_inference`."""
        return plan_inference(
            self.model, longest=longest, at_once=TOKENS_PER_BATCH, n_tokens=n_tokens
        )

    def log_likelihoods(
        self, sequences: Iterable[TokenArray]
    ) -> Iterator[Float32[np.ndarray, " _"]]:
        """Give the log-likelihood of each base, as `likelihood.log_likelihoods`."""
        return log_likelihoods(self.model, sequences)
