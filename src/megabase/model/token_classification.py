"""The Hugging Face class with a head on each token: its class or its value."""

from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from transformers.modeling_outputs import TokenClassifierOutput

from megabase.errors import InputError
from megabase.model.config import HyenaDNAConfig
from megabase.model.headed import HyenaDNAWithHead
from megabase.model.heads import (
    UNCOUNTED,
    AnswersEachToken,
    TokenHead,
    token_losses,
    token_weights,
    weighted_mean,
)


class HyenaDNAForTokenClassification(HyenaDNAWithHead, AnswersEachToken):
    """The backbone with a `TokenHead`: an answer for each base of a sequence.

    The backbone is causal: what is said of a base rests on that base and on those to its
    left, never on one to its right. Reading the other strand too, as
    `inference.predict.predictions` does with ``strand="average"``, gives it both sides.

    Labels are (batch, length): classes, with `heads.UNCOUNTED` (-100) where a token does not
    count, or values, with NaN there. The loss is the mean over rows of the mean over the
    tokens of a row that count; a row without any is left out.
    """

    _output_type = TokenClassifierOutput

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.head = TokenHead(config)
        self.post_init()

    def _logits(
        self,
        hidden: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None,
    ) -> Float[Tensor, "batch length label"]:
        """Give the logits of each token; those of padding mean nothing."""
        del mask
        return self.head(hidden)

    def _loss(
        self, logits: Float[Tensor, "batch length label"], labels: Shaped[Tensor, "batch labelled"]
    ) -> Float[Tensor, ""]:
        """Give the mean over rows, as the class says."""
        if labels.shape != logits.shape[:2]:
            raise InputError(
                f"labels must be {tuple(logits.shape[:2])}, one for each token, got "
                f"{tuple(labels.shape)}; a token that peft's prompt tuning puts before the others "
                f"needs one as well: {UNCOUNTED}"
            )
        return weighted_mean(token_losses(logits, labels, self.config), token_weights(labels))
