"""The Hugging Face classes with a head: on whole sequences, and on each token."""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput, TokenClassifierOutput

from megabase.errors import InputError
from megabase.model.architecture import HEAD_PREFIX
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import (
    UNCOUNTED,
    PredictsEachToken,
    SequenceHead,
    TokenHead,
    losses,
    token_losses,
    token_weights,
    weighted_mean,
)
from megabase.model.modeling import HyenaDNAPreTrainedModel
from megabase.model.reading import has_head

_log = logging.getLogger(__name__)

Answered = SequenceClassifierOutput | TokenClassifierOutput
"""Outputs of the classes with a head."""


class HyenaDNAWithHead(HyenaDNAPreTrainedModel):
    """The backbone with a head, which a subclass provides.

    A folder of a language model loads with a newly initialised head, which transformers logs. A
    folder with a head must have exactly its tensors, and must have been saved by the same class.
    """

    accepts_loss_kwargs = False  # so that the Trainer divides the loss by the accumulation steps
    _output_type: ClassVar[type[Answered]]
    _is_warned = False
    head: SequenceHead | TokenHead

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"] | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
        labels: Shaped[Tensor, "batch ..."] | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        past_key_values: object = None,
        memory_features: Float[Tensor, "batch length feature"] | None = None,
        **keywords: Any,
    ) -> Answered | tuple[Any, ...]:
        """Return the logits of each sequence or token, and with `labels` the mean loss.

        Parameters
        ----------
        input_ids, inputs_embeds
            Tokens, or embedded tokens; one of the two.
        attention_mask
            (batch, length), 0 where a token is padding, which may be on either side.
        labels
            Classes, truths or values, in the format of `heads.losses` for sequences, and of
            `heads.token_losses` for tokens.
        output_hidden_states
            Also return the embedding and the state after each block.
        return_dict
            False: return a plain tuple.
        past_key_values
            Must be None.
        memory_features
            Features of a memory that has read more than these tokens, for a model with a memory;
            None: they are computed from `input_ids`, before the first of which nothing was read.
        **keywords
            What transformers passes to any model; see `keywords.check_keywords`.
        """
        self._check(input_ids, attention_mask, inputs_embeds, past_key_values, keywords)
        if self.training and labels is not None:
            self._warn_of_frozen_head()
        every = bool(
            self.config.output_hidden_states
            if output_hidden_states is None
            else output_hidden_states
        )
        hidden = self._hidden_states(
            input_ids, attention_mask, inputs_embeds, every, features=memory_features
        )
        mask = None if attention_mask is None else attention_mask.bool()
        logits = self._logits(hidden[-1], mask)
        output = self._output_type(
            loss=None if labels is None else self._loss(logits, labels),
            logits=logits,
            hidden_states=tuple(hidden) if every else None,
        )
        wants_dict = self.config.return_dict if return_dict is None else return_dict
        return output if wants_dict else output.to_tuple()

    def _warn_of_frozen_head(self) -> None:
        """Log a warning, once, if the backbone is trained and the head is not."""
        frozen = [not p.requires_grad for p in self.head.parameters()]
        if (
            self._is_warned
            or not all(frozen)
            or not any(p.requires_grad for p in self.parameters())
        ):
            return
        self._is_warned = True
        _log.warning(
            "the head is frozen while other weights are trained; peft neither trains nor saves "
            "it unless its config has modules_to_save=['head']"
        )

    @abstractmethod
    def _logits(
        self,
        hidden: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None,
    ) -> Float[Tensor, "batch ... label"]:
        """Return the output of the head."""

    @abstractmethod
    def _loss(
        self, logits: Float[Tensor, "batch ... label"], labels: Shaped[Tensor, "batch ..."]
    ) -> Float[Tensor, ""]:
        """Return the mean loss."""

    @classmethod
    def _head_tensors(
        cls, config: HyenaDNAConfig, tensors: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the tensors of the head, or an empty mapping if the folder has no head."""
        if not has_head(tensors):
            return {}
        saved_as = config.architectures or [cls.__name__]
        if cls.__name__ not in saved_as:
            raise InputError(
                f"this folder holds a {saved_as[0]}; it cannot be loaded as a {cls.__name__}"
            )
        return head_tensors(config)


def head_tensors(config: HyenaDNAConfig) -> dict[str, Tensor]:
    """Return the tensors of a head by name, without values; they are the same for all heads."""
    with torch.device("meta"):
        return SequenceHead(config).state_dict(prefix=HEAD_PREFIX)


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


class HyenaDNAForTokenClassification(HyenaDNAWithHead, PredictsEachToken):
    """The backbone with a `TokenHead`: one prediction for each base of a sequence.

    The backbone is causal: the prediction for a base depends on that base and on those to its
    left only. Averaging it with the other strand, as `inference.predictions.predictions` does with
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
