"""The Hugging Face class with a head on whole sequences: classes, labels or values."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput

from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import PREFIX, SequenceHead, losses
from megabase.model.modeling import HyenaDNAPreTrainedModel


class HyenaDNAForSequenceClassification(HyenaDNAPreTrainedModel):
    """The backbone with a `SequenceHead`: one answer for a sequence.

    A folder of a language model loads with a head that is drawn anew, as transformers does
    with a line of its log; one with a head must fit it exactly.
    """

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.head = SequenceHead(config)
        self.post_init()

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"] | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
        labels: Shaped[Tensor, "batch ..."] | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """Give the logits of each sequence, and with `labels` the mean loss.

        Parameters
        ----------
        input_ids, attention_mask, inputs_embeds, output_hidden_states, return_dict
            As in `HyenaDNAModel.forward`.
        labels
            As of `heads.losses`.
        """
        every = bool(
            self.config.output_hidden_states
            if output_hidden_states is None
            else output_hidden_states
        )
        hidden = self._hidden_states(input_ids, attention_mask, inputs_embeds, every)
        mask = None if attention_mask is None else attention_mask.bool()
        logits = self.head(hidden[-1], mask)
        output = SequenceClassifierOutput(
            loss=None if labels is None else losses(logits, labels, self.config).mean(),
            logits=logits,
            hidden_states=tuple(hidden) if every else None,
        )
        wants_dict = self.config.return_dict if return_dict is None else return_dict
        return output if wants_dict else output.to_tuple()

    @classmethod
    def _head_tensors(
        cls, config: HyenaDNAConfig, tensors: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Give the tensors of the head, unless the folder has none at all."""
        return head_tensors(config) if has_head(tensors) else {}


def has_head(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors are of a model with a head."""
    return any(name.startswith(PREFIX) for name in tensors)


def head_tensors(config: HyenaDNAConfig) -> dict[str, Tensor]:
    """Give names and shapes of a head's tensors, without values."""
    with torch.device("meta"):
        return SequenceHead(config).state_dict(prefix=PREFIX)
