r"""The Hugging Face class of a language model that classifies by a letter after a soft prompt.

.. math:: p(\text{class } k \mid x) \propto
          \exp\, \ell_{a_k}\bigl(v_1, \dots, v_n, x_1, \dots, x_m, \text{[SEP]}\bigr)
   :label: soft-prompt

Here v are the vectors of the prompt, the only trained parameters, x the embedded bases, ℓ the
logits of the language model for the token after [SEP], and a the letters of the classes.

Where we differ from the paper: padding follows [SEP] and is masked. The released code pads
before the bases, without a mask. The features of a memory belong to the bases; those of prompt and
[SEP] are 0.

Source: Nguyen et al. 2023, arXiv:2306.15794v2, Sections 4.3 and A.7.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization
from transformers.modeling_outputs import SequenceClassifierOutput

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import PROMPT_PREFIX
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import losses
from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAPreTrainedModel
from megabase.ops.tracing import static_size, why_traced

_STD = 0.02
_SEP = DNA_VOCABULARY.id_of("[SEP]")


class SoftPrompt(nn.Module):
    """Trained vectors that are put before each embedded sequence.

    Parameters
    ----------
    config
        Its `n_prompt_tokens`, `d_model` and `prompt_dropout` are used.
    """

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(config.n_prompt_tokens, config.d_model))
        self.dropout = nn.Dropout(config.prompt_dropout)

    def forward(
        self, embedded: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch prompted d_model"]:
        """Put the prompt before each sequence; dropout differs between sequences."""
        prompt = self.dropout(self.vectors.expand(static_size(embedded, 0), -1, -1))
        return torch.cat([prompt, embedded], dim=1)


class HyenaDNAForPromptedClassification(HyenaDNAPreTrainedModel):
    """A language model with a soft prompt, which classifies by its next letter, Eq. soft-prompt.

    The vectors are initialised from N(0, 0.02).

    Parameters
    ----------
    config
        With `n_prompt_tokens` of at least 1, and a letter for each class in `answer_letters`.

    Raises
    ------
    InputError
        If the configuration has no prompt.
    """

    accepts_loss_kwargs = False  # so that the Trainer divides the loss by the accumulation steps

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        if config.answer_letters is None:
            raise InputError("a prompted model needs n_prompt_tokens and answer_letters")
        self.prompt = SoftPrompt(config)
        self._answers = [DNA_VOCABULARY.id_of(letter) for letter in config.answer_letters]
        self.post_init()

    @classmethod
    def from_language_model(
        cls, language: HyenaDNAForCausalLM, config: HyenaDNAConfig
    ) -> "HyenaDNAForPromptedClassification":
        """Return a model with a new prompt and a copy of the weights of a language model.

        Parameters
        ----------
        language
            The language model.
        config
            Its architecture, with `n_prompt_tokens` and `answer_letters`.
        """
        model = cls(config)
        model.backbone.load_state_dict(language.backbone.state_dict())
        return model

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise the prompt, and other modules as the base class does."""
        if isinstance(module, SoftPrompt):
            initialization.normal_(module.vectors, std=_STD)
        else:
            super()._init_weights(module)

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"] | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
        labels: Int[Tensor, " batch"] | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        past_key_values: object = None,
        memory_features: Float[Tensor, "batch length feature"] | None = None,
        **keywords: Any,
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """Return the logits of the letters of the classes, and with `labels` the mean loss.

        Parameters
        ----------
        input_ids, inputs_embeds
            Tokens, or embedded tokens, without prompt and [SEP]; one of the two.
        attention_mask
            (batch, length), 0 where a token is padding, which may be on either side.
        labels
            The class number of each sequence.
        output_hidden_states
            Also return the states of prompt, sequence, [SEP] and padding, in this order.
        return_dict
            False: return a plain tuple.
        past_key_values
            Must be None.
        memory_features
            Features of a memory that has read more than these tokens, for a model with a memory;
            None: they are computed from `input_ids`, before the first of which nothing was read.
        **keywords
            What transformers passes to any model; see `keywords.check_keywords`.

        Raises
        ------
        InputError
            If prompt and sequence are longer than the context, or a sequence is all padding.
        """
        self._check(input_ids, attention_mask, inputs_embeds, past_key_values, keywords)
        every = bool(
            self.config.output_hidden_states
            if output_hidden_states is None
            else output_hidden_states
        )
        embedded = self._embedded(input_ids, inputs_embeds)
        batch, length = static_size(embedded, 0), static_size(embedded, 1)
        check_length(self.config, length)
        lengths = torch.full((batch,), length, device=embedded.device)
        given = None if attention_mask is None else attention_mask.bool()
        features = self._features(input_ids, given, memory_features)
        if given is not None:
            lengths = _lengths(given)
            embedded = _to_the_left(embedded, given)
            features = None if features is None else _to_the_left(features, given)
        if features is not None:
            features = _between(features, lengths, self.config.n_prompt_tokens)
        prompted = self.prompt(_closed(embedded, lengths, self.backbone.embedding.weight[_SEP]))
        last = lengths + self.config.n_prompt_tokens  # the index of [SEP]
        mask = torch.arange(prompted.shape[1], device=last.device) <= last[:, None]
        is_full = why_traced(embedded) is None and bool(mask.all())
        hidden = self._hidden_states(
            None, None if is_full else mask, prompted, every, features=features
        )
        at_sep = hidden[-1][torch.arange(batch, device=last.device), last]
        logits = functional.linear(at_sep, self.backbone.embedding.weight[self._answers])
        output = SequenceClassifierOutput(
            loss=None if labels is None else losses(logits, labels, self.config).mean(),
            logits=cast("Any", logits),
            hidden_states=tuple(hidden) if every else None,
        )
        wants_dict = self.config.return_dict if return_dict is None else return_dict
        return output if wants_dict else output.to_tuple()

    @classmethod
    def _head_tensors(
        cls, config: HyenaDNAConfig, tensors: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the tensors of the prompt."""
        del tensors
        return prompt_tensors(config)


def check_length(config: HyenaDNAConfig, length: int) -> None:
    """Raise an InputError if prompt and sequence exceed the context length.

    Parameters
    ----------
    config
        The configuration of a prompted model.
    length
        Tokens of the sequence.
    """
    if length > config.longest_sequence:
        fit = config.context_length - length
        raise InputError(
            f"{config.n_prompt_tokens:,} prompt tokens and a sequence of {length:,} are longer "
            f"than the model's context of {config.context_length:,}; "
            + (f"at most {fit:,} prompt tokens fit" if fit > 0 else "split it into windows")
        )


def prompt_tensors(config: HyenaDNAConfig) -> dict[str, Tensor]:
    """Return the tensors of a prompt by name, without values."""
    with torch.device("meta"):
        return SoftPrompt(config).state_dict(prefix=PROMPT_PREFIX)


def _lengths(mask: Bool[Tensor, "batch length"]) -> Int64[Tensor, " batch"]:
    """Return the number of real tokens of each sequence."""
    lengths = mask.sum(dim=1)
    if why_traced(mask) is None and not bool(lengths.all()):
        raise InputError("a sequence of the batch is all padding; each needs at least one token")
    return lengths


def _to_the_left(
    of_tokens: Float[Tensor, "batch length channel"], mask: Bool[Tensor, "batch length"]
) -> Float[Tensor, "batch length channel"]:
    """Move the channels of real tokens before those of padding, in order."""
    order = torch.argsort(~mask, dim=1, stable=True)
    return of_tokens.gather(1, order[..., None].expand_as(of_tokens))


def _between(
    features: Float[Tensor, "batch length feature"],
    lengths: Int64[Tensor, " batch"],
    n_prompt_tokens: int,
) -> Float[Tensor, "batch prompted feature"]:
    """Put features of 0 before and after those of each sequence, for prompt and [SEP]."""
    positions = torch.arange(features.shape[1], device=lengths.device)
    known = features.masked_fill((positions >= lengths[:, None])[..., None], 0.0)
    return functional.pad(known, (0, 0, n_prompt_tokens, 1))


def _closed(
    embedded: Float[Tensor, "batch length d_model"],
    lengths: Int64[Tensor, " batch"],
    sep: Float[Tensor, " d_model"],
) -> Float[Tensor, "batch closed d_model"]:
    """Put [SEP] right after the last real token of each sequence."""
    longer = functional.pad(embedded, (0, 0, 0, 1))
    is_sep = torch.arange(longer.shape[1], device=lengths.device) == lengths[:, None]
    return torch.where(is_sep[..., None], sep, longer)
