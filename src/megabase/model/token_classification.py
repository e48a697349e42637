"""The Hugging Face class with a head on each token, for classes or values."""

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
    """The backbone with a `TokenHead`: one prediction for each base of a sequence.

    The backbone is causal: the prediction for a base depends on that base and on those to its
    left only. Averaging it with the other strand, as `inference.predict.predictions` does with
    ``strand="average"``, uses both sides.

    Labels are (batch, length): classes, with `heads.UNCOUNTED` (-100) where a token is not
    counted, or values, with NaN there. The loss is the mean over rows of the mean over the
    counted tokens of a row; rows without one are left out.
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
        """Return the logits of each token; those of padding have no meaning."""
        del mask
        return self.head(hidden)

    def _loss(
        self, logits: Float[Tensor, "batch length label"], labels: Shaped[Tensor, "batch labelled"]
    ) -> Float[Tensor, ""]:
        """Return the mean over rows; see the class docstring."""
        if labels.shape != logits.shape[:2]:
            raise InputError(
                f"labels must have shape {tuple(logits.shape[:2])}, one for each token, got "
                f"{tuple(labels.shape)}; tokens that peft's prompt tuning adds need the label "
                f"{UNCOUNTED}"
            )
        return weighted_mean(token_losses(logits, labels, self.config), token_weights(labels))
