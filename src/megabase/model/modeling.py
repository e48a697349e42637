"""The Hugging Face classes: the backbone as a base model and as a causal language model."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationConfig, GenerationMixin, PreTrainedModel, initialization
from transformers.generation.configuration_utils import GenerationMode
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutputWithPast

from megabase.errors import InputError
from megabase.model.backbone import Backbone
from megabase.model.config import HyenaDNAConfig
from megabase.model.filter import ImplicitFilter
from megabase.model.language import LanguageModel, TokenReader, check_fits
from megabase.model.loss import next_token_loss
from megabase.model.operator import HyenaOperator
from megabase.model.past import Past
from megabase.model.published import from_published, is_published
from megabase.model.residual import ResidualLinear
from megabase.model.streamed import what_is_changed
from megabase.model.weights import read_tensors

_HUB_OPTIONS = (
    "cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token",
)  # fmt: skip


class HyenaDNAPreTrainedModel(PreTrainedModel, TokenReader):
    """What the classes share: the configuration, the starting weights, strict loading.

    The starting weights, where s is `initializer_range`, or for linear maps
    `initializer_gain` / √inputs if that is given:

    ============================================  =========================================
    every linear map, the filter's too            N(0, s), bias 0
    ``mixer.out_proj`` and ``mlp.fc2``            N(0, s / √(2 n_layer)), bias 0
    embedding, which is the head too              N(0, s)
    norms                                         weight 1, bias 0
    short convolution                             U(-1/√k, 1/√k) for k taps, bias too
    skip weight                                   N(0, 1)
    frequency of the sines, near taps             `activation_freq`, 0
    ============================================  =========================================

    Source: the released code of Nguyen et al. 2023, arXiv:2306.15794v2.
    """

    config_class = HyenaDNAConfig
    config: HyenaDNAConfig  # pyright: ignore[reportIncompatibleVariableOverride] a narrower one
    base_model_prefix = "backbone"
    supports_gradient_checkpointing = True
    _no_split_modules = ["Block"]  # noqa: RUF012 transformers asks for a plain list
    _keep_in_fp32_modules_strict = ["filters"]  # noqa: RUF012 sin(10 x) of a rounded x is noise

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.backbone = Backbone(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Give the embedding, a row for each token and some of padding."""
        return self.backbone.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding."""
        self.backbone.embedding = cast("nn.Embedding", value)

    def _init_weights(self, module: nn.Module) -> None:
        """Draw the starting weights of one module, as the table of the class says."""
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
            case HyenaOperator():
                initialization.normal_(module.skip)
            case ImplicitFilter():
                initialization.constant_(module.frequency, self.config.activation_freq)
                if module.near is not None:
                    initialization.zeros_(module.near)
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
        """Load a folder or hub id, ours or published, strictly; no code of the folder runs.

        As `transformers.PreTrainedModel.from_pretrained`, but that a tensor which is
        missing, extra or of another shape is an error that names it.

        Raises
        ------
        InputError
            If the tensors are not exactly those of the configuration.
        """
        if kwargs.get("state_dict") is not None:
            return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        name = str(pretrained_model_name_or_path)
        hub = {key: kwargs[key] for key in _HUB_OPTIONS if kwargs.get(key) is not None}
        for key in _HUB_OPTIONS:
            kwargs.pop(key, None)
        config = kwargs.pop("config", None)
        if config is None:
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
        """Give the tensors that a folder has beside the backbone's, by name: here none."""
        del config, tensors
        return {}


class HyenaDNAModel(HyenaDNAPreTrainedModel):
    """The model without a head: tokens to hidden states."""

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"] | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Give the hidden state of each token.

        Parameters
        ----------
        input_ids, inputs_embeds
            Tokens, or embedded tokens; one of the two.
        attention_mask
            (batch, length), 0 where a token is padding, which may stand on either side.
        output_hidden_states
            Give the embedding and the state after each block too.
        return_dict
            False: give a plain tuple.
        """
        every = _or(output_hidden_states, self.config.output_hidden_states)
        hidden = self._hidden_states(input_ids, attention_mask, inputs_embeds, every)
        output = BaseModelOutput(
            last_hidden_state=hidden[-1], hidden_states=tuple(hidden) if every else None
        )
        return output if _or(return_dict, self.config.return_dict) else output.to_tuple()


class HyenaDNAForCausalLM(  # pyright: ignore[reportIncompatibleVariableOverride] a narrower config
    HyenaDNAPreTrainedModel, LanguageModel, GenerationMixin
):
    """The language model: the chance of each next token.

    The head is the embedding, transposed; logits are those of the real vocabulary,
    without the rows that only pad the embedding.
    """

    accepts_loss_kwargs = True  # the Trainer passes num_items_in_batch

    @classmethod
    def around(cls, language: LanguageModel, config: HyenaDNAConfig) -> "HyenaDNAForCausalLM":
        """Return the same model, of the same weights, as one of this class.

        Parameters
        ----------
        language
            In evaluation mode; its backbone is shared from now on, not copied.
        config
            Of the same architecture.
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
        logits_to_keep: int = 0,
        num_items_in_batch: Tensor | float | int | None = None,
        loss_weights: Float[Tensor, "batch length"] | None = None,
        skip_logits: bool = False,
        past_key_values: Past | None = None,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Give the logits of the token after each, and with `labels` the loss.

        Parameters
        ----------
        input_ids, attention_mask, inputs_embeds, output_hidden_states, return_dict
            As in `HyenaDNAModel.forward`.
        labels
            The tokens again, with -100 where a token is no target; the shift by one
            happens here. The loss is the mean cross-entropy in nats, in float32.
        logits_to_keep
            Give logits of only so many last tokens; 0 for all.
        num_items_in_batch
            Divide the loss by this in place of the sum of weights, as gradient
            accumulation needs.
        loss_weights
            What each token counts as a target; None: all as 1.
        skip_logits
            Give the loss alone, and never hold the logits of all tokens at once.
        past_key_values
            What `generate` carries along: `input_ids` go on from it, and only the logits
            after the last are given.
        """
        if past_key_values is not None:
            if input_ids is None or labels is not None or output_hidden_states:
                raise InputError(
                    "with past_key_values there are input_ids, no labels and no hidden states"
                )
            return CausalLMOutputWithPast(
                logits=past_key_values.take(input_ids, attention_mask),
                past_key_values=cast("Any", past_key_values),  # transformers' kind has far more
            )
        every = _or(output_hidden_states, self.config.output_hidden_states)
        hidden = self._hidden_states(input_ids, attention_mask, inputs_embeds, every)
        if labels is not None and logits_to_keep:
            raise InputError("labels need the logits of all tokens; leave logits_to_keep at 0")
        head = self.backbone.embedding.weight[: self.config.vocab_size]
        loss = None
        if labels is not None:
            loss = next_token_loss(
                hidden[-1], head, labels, weights=loss_weights, n_targets=num_items_in_batch
            )
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=None
            if skip_logits
            else functional.linear(hidden[-1][:, -logits_to_keep:], head),
            hidden_states=tuple(hidden) if every else None,
        )
        return output if _or(return_dict, self.config.return_dict) else output.to_tuple()

    def prepare_inputs_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride] by name
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Tensor | None = None,
        past_key_values: Past | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Give the arguments of `forward` for the next token of `generate`."""
        goes_on = past_key_values is not None and past_key_values.get_seq_length() > 0
        return {
            "input_ids": input_ids[:, -1:] if goes_on else input_ids,
            "attention_mask": attention_mask,
            "past_key_values": past_key_values,
            "logits_to_keep": 1,
        }

    def _prepare_cache_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride] its hook
        self,
        generation_config: GenerationConfig,
        model_kwargs: dict[str, Any],
        generation_mode: GenerationMode,
        batch_size: int,
        max_cache_length: int,
    ) -> None:
        """Bring a cache where sequences only grow; a changed model is computed anew each time."""
        if model_kwargs.get("past_key_values") is not None:
            raise InputError("generate() makes its own cache; leave past_key_values out")
        grows = generation_mode in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)
        is_ours = what_is_changed(self.backbone.blocks, self.backbone.norm) is None
        if generation_config.use_cache and grows and is_ours and not self.training:
            model_kwargs["past_key_values"] = Past(self.backbone, max_cache_length)


def _or(given: bool | None, otherwise: bool | None) -> bool:
    return bool(otherwise if given is None else given)
