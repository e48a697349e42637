"""The Hugging Face class with a head on whole sequences, for classes, labels or values."""

from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput

from megabase.model.config import HyenaDNAConfig
from megabase.model.headed import HyenaDNAWithHead
from megabase.model.heads import SequenceHead, losses


class HyenaDNAForSequenceClassification(HyenaDNAWithHead):
    """The backbone with a `SequenceHead`: one prediction for each sequence."""

    _output_type = SequenceClassifierOutput

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.head = SequenceHead(config)
        self.post_init()

    def _logits(
        self,
        hidden: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None,
    ) -> Float[Tensor, "batch label"]:
        return self.head(hidden, mask)

    def _loss(
        self, logits: Float[Tensor, "batch label"], labels: Shaped[Tensor, "batch ..."]
    ) -> Float[Tensor, ""]:
        """Return the mean of `heads.losses`."""
        return losses(logits, labels, self.config).mean()
