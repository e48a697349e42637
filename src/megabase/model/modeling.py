"""The Hugging Face classes: the backbone as a base model and as a causal language model."""

from collections.abc import Mapping
from copy import copy
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    GenerationConfig,
    GenerationMixin,
    PreTrainedModel,
    StoppingCriteriaList,
    initialization,
)
from transformers.generation.configuration_utils import GenerationMode
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutputWithPast

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.backbone import Backbone
from megabase.model.config import HyenaDNAConfig
from megabase.model.files import HUB_OPTIONS, read_config_file
from megabase.model.hyena import HyenaOperator, ImplicitFilter, ResidualLinear
from megabase.model.keywords import NO_PREFIX, check_causal, check_generation, check_keywords
from megabase.model.language import (
    LanguageModel,
    TokenReader,
    check_fits,
    next_token_loss,
    sequence_length,
)
from megabase.model.memory_mixer import MemoryMixer
from megabase.model.past import Past, StopLetters
from megabase.model.reading import read_tensors
from megabase.model.released import from_published, is_published
from megabase.ops.memory import default_odds


class HyenaDNAPreTrainedModel(PreTrainedModel, TokenReader):
    """What the classes share: configuration, initialisation of weights, and strict loading.

    Initial weights, where s is `initializer_range`, or for linear maps `initializer_gain` / √inputs
    if `initializer_gain` is given:

    ============================================  =========================================
    linear maps, including the filter's           N(0, s), bias 0
    ``mixer.out_proj`` and ``mlp.fc2``            N(0, s / √(2 n_layer)), bias 0
    embedding, which is also the head             N(0, s)
    norms                                         weight 1, bias 0
    short convolution, weight and bias            U(-1/√k, 1/√k) for k taps
    skip weight                                   N(0, 1)
    frequency of the sines, near taps             `activation_freq`, 0
    log-odds of pointers                          `ops.memory.default_odds`
    ============================================  =========================================

    Source: the released code of Nguyen et al. 2023, arXiv:2306.15794v2.
    """

    config_class = HyenaDNAConfig
    config: HyenaDNAConfig  # pyright: ignore[reportIncompatibleVariableOverride] a narrower one
    base_model_prefix = "backbone"
    supports_gradient_checkpointing = True
    _no_split_modules = ["Block"]  # noqa: RUF012 transformers needs a plain list
    # sin(10 x) amplifies the rounding of x, so filters stay in float32
    _keep_in_fp32_modules_strict = ["filters"]  # noqa: RUF012 transformers needs a plain list

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.backbone = Backbone(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embedding: one row for each token, and padding rows."""
        return self.backbone.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding."""
        self.backbone.embedding = cast("nn.Embedding", value)

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, *arguments: Any, **keywords: Any
    ) -> nn.Embedding:
        """Change the number of tokens, as in transformers; existing tokens keep their vectors.

        The configuration is updated to the new number of tokens and rows, so that a saved folder
        can be loaded.

        Parameters
        ----------
        new_num_tokens
            Number of tokens; None: unchanged.
        *arguments, **keywords
            As in `transformers.PreTrainedModel.resize_token_embeddings`.
        """
        config, before = self.config, self.config.vocab_size
        embedding = super().resize_token_embeddings(new_num_tokens, *arguments, **keywords)
        if config.n_embedding_rows != embedding.num_embeddings:
            config.pad_vocab_size_multiple = 1
        if before - config.n_added_tokens == len(DNA_VOCABULARY):
            config.n_added_tokens = max(0, config.vocab_size - len(DNA_VOCABULARY))
        return embedding

    def get_submodule(self, target: str) -> nn.Module:
        """Return a module by its name; the embedding also by the name that peft uses."""
        if target == "embeddings.word_embeddings":
            return self.backbone.embedding
        return super().get_submodule(target)

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise the weights of one module, by the table in the class docstring."""
        match module:
            case nn.Linear():
                self._init_linear(module)
            case nn.Embedding():
                initialization.normal_(module.weight, std=self.config.initializer_range)
            case nn.LayerNorm():
                initialization.ones_(module.weight)
                initialization.zeros_(module.bias)
            case nn.Conv1d(weight=weight, bias=bias):
                bound = module.kernel_size[0] ** -0.5
                initialization.uniform_(weight, -bound, bound)
                initialization.uniform_(cast("Tensor", bias), -bound, bound)
            case ImplicitFilter():
                initialization.constant_(module.frequency, self.config.activation_freq)
                if module.near is not None:
                    initialization.zeros_(module.near)
            case _:
                self._init_parameters(module)

    @staticmethod
    def _init_parameters(module: nn.Module) -> None:
        """Initialise the parameters that a module holds besides its submodules."""
        match module:
            case HyenaOperator():
                initialization.normal_(module.skip)
            case MemoryMixer():
                odds = torch.tensor(default_odds(), dtype=torch.float32)
                initialization.copy_(module.pointer_odds, odds)
            case _:
                pass

    def _init_linear(self, linear: nn.Linear) -> None:
        gain, n_layer = self.config.initializer_gain, self.config.n_layer
        std = self.config.initializer_range if gain is None else gain / linear.in_features**0.5
        if isinstance(linear, ResidualLinear):
            std /= (2 * n_layer) ** 0.5
        initialization.normal_(linear.weight, std=std)
        bias = cast("nn.Parameter | None", linear.bias)
        if bias is not None:
            initialization.zeros_(bias)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], *model_args: Any, **kwargs: Any
    ) -> "HyenaDNAPreTrainedModel":
        """Load a folder or hub id, of this package or published, without running its code.

        It differs from `transformers.PreTrainedModel.from_pretrained` in that a missing, extra or
        misshapen tensor is an error.

        Parameters
        ----------
        pretrained_model_name_or_path
            A folder or hub id.
        *model_args, **kwargs
            As in transformers.

        Raises
        ------
        InputError
            If the tensors are not exactly those of the configuration.
        """
        if kwargs.get("state_dict") is not None:
            return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        name = str(pretrained_model_name_or_path)
        hub = {key: kwargs[key] for key in HUB_OPTIONS if kwargs.get(key) is not None}
        for key in HUB_OPTIONS:
            kwargs.pop(key, None)
        config = kwargs.pop("config", None)
        if config is None:
            if Path(name).is_dir():
                read_config_file(name, {})  # its errors are clearer than those of transformers
            read = HyenaDNAConfig.from_pretrained(name, return_unused_kwargs=True, **hub, **kwargs)
            config, kwargs = cast("tuple[HyenaDNAConfig, dict[str, Any]]", read)
        tensors = read_tensors(name, hub)
        if is_published(tensors):
            tensors = from_published(tensors, config, name)
        check_fits(tensors, config, name, head=cls._head_tensors(config, tensors))
        model = super().from_pretrained(
            None, *model_args, config=config, state_dict=tensors, **kwargs
        )
        loaded = model[0] if isinstance(model, tuple) else model  # with output_loading_info
        loaded.config.name_or_path = loaded.name_or_path = name
        return model

    @classmethod
    def _head_tensors(
        cls, config: HyenaDNAConfig, tensors: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the tensors of a folder besides those of the backbone, by name: here none."""
        del config, tensors
        return {}

    def _check(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        inputs_embeds: Tensor | None,
        past_key_values: object,
        keywords: Mapping[str, Any],
    ) -> None:
        """Validate the arguments of `forward` of a model without a cache."""
        check_causal(past_key_values, keywords)
        length = sequence_length(input_ids, inputs_embeds)
        check_keywords(keywords, attention_mask, length=length)


class HyenaDNAModel(HyenaDNAPreTrainedModel):
    """The model without a head, which maps tokens to hidden states."""

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"] | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        past_key_values: object = None,
        memory_features: Float[Tensor, "batch length feature"] | None = None,
        **keywords: Any,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Return the hidden state of each token.

        Parameters
        ----------
        input_ids, inputs_embeds
            Tokens, or embedded tokens; one of the two.
        attention_mask
            (batch, length), 0 where a token is padding, which may be on either side.
        output_hidden_states
            Also return the embedding and the state after each block.
        return_dict
            False: return a plain tuple.
        past_key_values
            Must be None: only a causal language model continues from a cache.
        memory_features
            Features of a memory that has read more than these tokens, for a model with a memory;
            None: they are computed from `input_ids`, before the first of which nothing was read.
        **keywords
            What transformers passes to any model; see `keywords.check_keywords`.
        """
        self._check(input_ids, attention_mask, inputs_embeds, past_key_values, keywords)
        every = _or(output_hidden_states, self.config.output_hidden_states)
        hidden = self._hidden_states(
            input_ids, attention_mask, inputs_embeds, every, features=memory_features
        )
        output = BaseModelOutput(
            last_hidden_state=hidden[-1], hidden_states=tuple(hidden) if every else None
        )
        return output if _or(return_dict, self.config.return_dict) else output.to_tuple()


_ASSISTED = GenerationMode.ASSISTED_GENERATION
_GROWS = (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE, _ASSISTED)


class HyenaDNAForCausalLM(  # pyright: ignore[reportIncompatibleVariableOverride] a narrower config
    HyenaDNAPreTrainedModel, LanguageModel, GenerationMixin
):
    """The language model, which predicts the next token.

    The head is the transposed embedding. Logits are those of the vocabulary, without the padding
    rows of the embedding.
    """

    accepts_loss_kwargs = True  # the Trainer passes num_items_in_batch

    @classmethod
    def around(cls, language: LanguageModel, config: HyenaDNAConfig) -> "HyenaDNAForCausalLM":
        """Return a language model as one of this class, with the same weights.

        Parameters
        ----------
        language
            The model, in evaluation mode. Its backbone is shared, not copied.
        config
            A configuration of the same architecture.
        """
        with torch.device("meta"):
            model = cls(config)
        model.backbone = language.backbone
        model.backbone.config = config
        return model.eval()

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"] | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
        labels: Int[Tensor, "batch length"] | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | Int[Tensor, " kept"] | None = 0,
        num_items_in_batch: Tensor | float | int | None = None,
        loss_weights: Float[Tensor, "batch length"] | None = None,
        own_loss_weight: float = 0.0,
        skip_logits: bool = False,
        past_key_values: object = None,
        use_cache: bool | None = None,
        memory_features: Float[Tensor, "batch length feature"] | None = None,
        **keywords: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Return the logits of the token after each one, and with `labels` the loss.

        Parameters
        ----------
        input_ids, inputs_embeds
            Tokens, or embedded tokens; one of the two.
        attention_mask
            (batch, length), 0 where a token is padding, which may be on either side. With
            `past_key_values` it covers the earlier tokens too.
        labels
            The tokens again, with -100 where a token is not a target. They are shifted by one
            here. The loss is the mean cross-entropy in nats, in float32.
        output_hidden_states
            Also return the embedding and the state after each block.
        return_dict
            False: return a plain tuple.
        logits_to_keep
            Number of last tokens whose logits are returned, 0 for all; or positions of tokens.
        num_items_in_batch
            Divisor of the sum of losses, for gradient accumulation; None: the sum of weights.
        loss_weights
            Weight of each token as a target; None: all 1.
        own_loss_weight
            For a model with a memory: the gradient of the loss is that of the loss plus this weight
            times the loss of the hidden states before the memory is mixed in. The value of the loss
            does not change.
        skip_logits
            Return only the loss, without holding the logits of all tokens.
        past_key_values
            What an earlier call with `use_cache`, or `generate`, returned: its tokens come before
            these.
        use_cache
            Also return `past_key_values`, from which a later call can continue.
        memory_features
            Features of a memory that has read more than these tokens, for a model with a memory;
            None: they are computed from `input_ids`, before the first of which nothing was read.
        **keywords
            What transformers passes to any model; see `keywords.check_keywords`.
        """
        length, kept = sequence_length(input_ids, inputs_embeds), _kept(logits_to_keep)
        past = None if past_key_values is None else _ours(past_key_values)
        n_before = 0 if past is None else past.get_seq_length()
        check_keywords(keywords, attention_mask, length=length, n_before=n_before)
        if past is not None:
            if labels is not None or output_hidden_states or memory_features is not None:
                raise InputError(
                    "past_key_values cannot be combined with labels, output_hidden_states or "
                    "memory_features; pass the whole sequence instead"
                )
            new = cast("Tensor", input_ids if inputs_embeds is None else inputs_embeds)
            logits = past.take(new, attention_mask, length if kept is None else kept)
            return CausalLMOutputWithPast(logits=logits, past_key_values=past)
        if use_cache:
            past = _noted(self, input_ids, inputs_embeds, attention_mask, memory_features)
        every = _or(output_hidden_states, self.config.output_hidden_states)
        states, features = self._own_states(
            input_ids, attention_mask, inputs_embeds, every, memory_features
        )
        hidden = self._remembered(states, features)
        if labels is not None and kept is not None:
            raise InputError("labels need the logits of all tokens; leave logits_to_keep at 0")
        head = self.backbone.embedding.weight[: self.config.vocab_size]
        loss = None
        if labels is not None:
            loss_of = partial(
                next_token_loss, head=head, labels=labels, weights=loss_weights,
                n_targets=num_items_in_batch,
            )  # fmt: skip
            loss = loss_of(hidden[-1])
            if own_loss_weight and self.backbone.memory is not None and torch.is_grad_enabled():
                own_loss = own_loss_weight * loss_of(states[-1])
                loss = loss + (own_loss - own_loss.detach())
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=None if skip_logits else functional.linear(_last(hidden[-1], kept), head),
            hidden_states=tuple(hidden) if every else None,
            past_key_values=past,
        )
        return output if _or(return_dict, self.config.return_dict) else output.to_tuple()

    def prepare_inputs_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride] by name
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Tensor | None = None,
        past_key_values: Past | None = None,
        inputs_embeds: Float[Tensor, "batch given d_model"] | None = None,
        next_sequence_length: int | None = None,
        logits_to_keep: int = 1,
        output_hidden_states: bool | None = None,
        **passed: Any,
    ) -> dict[str, Any]:
        """Return the arguments of `forward` for the next tokens of `generate`."""
        n_before = 0 if past_key_values is None else past_key_values.get_seq_length()
        if n_before:
            n_new = next_sequence_length or max(1, input_ids.shape[1] - n_before)
            inputs = {"input_ids": input_ids[:, -n_new:]}
        elif inputs_embeds is None:
            inputs = {"input_ids": input_ids}
        else:
            inputs = {"inputs_embeds": self._continued(inputs_embeds, input_ids, attention_mask)}
        if not n_before:
            check_generation(passed, attention_mask, *inputs.values())
        return {
            "input_ids": None,
            **inputs,
            "attention_mask": attention_mask,
            "past_key_values": past_key_values,
            "logits_to_keep": logits_to_keep,
            "output_hidden_states": output_hidden_states,
        }

    def _continued(
        self, inputs_embeds: Tensor, input_ids: Tensor, attention_mask: Tensor | None
    ) -> Float[Tensor, "batch length d_model"]:
        """Append the embedded generated tokens to an embedded prompt, if there is no cache."""
        n_given = inputs_embeds.shape[1]
        n_added = 0 if attention_mask is None else attention_mask.shape[1] - n_given
        if not n_added:
            return inputs_embeds
        return torch.cat([inputs_embeds, self.backbone.embedding(input_ids[:, -n_added:])], dim=1)

    def _prepare_cache_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride] its hook
        self,
        generation_config: GenerationConfig,
        model_kwargs: dict[str, Any],
        generation_mode: GenerationMode,
        batch_size: int,
        max_cache_length: int,
    ) -> None:
        """Create a cache if sequences are only extended; beam search recomputes each step."""
        given = model_kwargs.get("past_key_values")
        if given is not None:
            _ours(given)
        elif not generation_config.use_cache or generation_mode not in _GROWS:
            return
        elif generation_mode is _ASSISTED or not model_kwargs.get("output_hidden_states"):
            model_kwargs["past_key_values"] = Past(self, max_cache_length)

    def _get_stopping_criteria(
        self,
        generation_config: GenerationConfig,
        stopping_criteria: StoppingCriteriaList | None,
        tokenizer: Any = None,  # noqa: ANN401 as transformers has it
    ) -> StoppingCriteriaList:
        """Return the criteria of transformers, except `StopLetters` for `stop_strings`."""
        strings, others = generation_config.stop_strings, copy(generation_config)
        others.stop_strings = None
        criteria = super()._get_stopping_criteria(  # pyright: ignore[reportAttributeAccessIssue]
            others, stopping_criteria, tokenizer
        )
        if strings is not None:
            criteria.append(StopLetters(strings))
        return criteria


def _ours(past: object) -> Past:
    """Return the cache of an earlier call; raise an InputError if it is of another kind."""
    if not isinstance(past, Past):
        raise InputError(f"the model creates its own cache; leave past_key_values out: {NO_PREFIX}")
    return past


def _noted(
    model: HyenaDNAForCausalLM,
    input_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    mask: Tensor | None,
    memory_features: Tensor | None,
) -> Past:
    """Return a `Past` for the next call, which will read these tokens again."""
    if memory_features is not None:
        raise InputError(
            "a cache reads tokens into a memory of its own; leave memory_features or use_cache out"
        )
    past = Past(model)
    past.note(cast("Tensor", input_ids if inputs_embeds is None else inputs_embeds), mask)
    return past


def _kept(logits_to_keep: int | Tensor | None) -> int | Tensor | None:
    """Return how many last logits, or which, are requested; None for all."""
    if isinstance(logits_to_keep, Tensor):
        return logits_to_keep
    if logits_to_keep is not None and logits_to_keep < 0:
        raise InputError(f"logits_to_keep must not be negative, got {logits_to_keep}")
    return logits_to_keep or None


def _last(hidden: Tensor, kept: int | Tensor | None) -> Tensor:
    if kept is None:
        return hidden
    return hidden[:, -kept:] if isinstance(kept, int) else hidden[:, kept]


def _or(given: bool | None, otherwise: bool | None) -> bool:
    return bool(otherwise if given is None else given)
