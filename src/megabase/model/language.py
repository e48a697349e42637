"""The language model itself, a plain torch module: what the Hugging Face classes share with it."""

import re
from collections.abc import Iterator, Mapping
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from megabase.errors import InputError
from megabase.model.architecture import Architecture
from megabase.model.backbone import Backbone
from megabase.model.loss import next_token_loss
from megabase.ops.tracing import is_jit_tracing, static_size


class TokenReader(nn.Module):
    """A model with a backbone: tokens to hidden states."""

    config: Architecture
    backbone: Backbone

    def _embedded(
        self,
        input_ids: Int[Tensor, "batch length"] | None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None,
    ) -> Float[Tensor, "batch length d_model"]:
        """Give the vectors of tokens, or those that are given in their place."""
        sequence_length(input_ids, inputs_embeds)
        return self.backbone.embedding(input_ids) if inputs_embeds is None else inputs_embeds

    def _hidden_states(
        self,
        input_ids: Int[Tensor, "batch length"] | None,
        attention_mask: Tensor | None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None,
        every_layer: bool,
    ) -> list[Float[Tensor, "batch length d_model"]]:
        """Embed if need be, check the length, and run the backbone."""
        embedded = self._embedded(input_ids, inputs_embeds)
        batch, length = static_size(embedded, 0), static_size(embedded, 1)
        limit = self.config.max_seq_len
        if not batch * length:
            raise InputError(f"a batch holds at least one token, got {(batch, length)}")
        if length > limit:
            raise InputError(
                f"a sequence of {length:,} tokens is longer than this model's {limit:,} positions; "
                "cut it into windows"
            )
        if is_jit_tracing():  # so that what was traced refuses another length
            embedded = embedded.unflatten(1, (length, 1)).squeeze(2)
        mask = None if attention_mask is None else attention_mask.bool()
        return self.backbone(
            embedded, mask, every_layer=every_layer, overwrite=inputs_embeds is None
        )


class LanguageModel(TokenReader):
    """A causal language model, of whichever class: the head is the embedding, transposed."""

    @property
    def head_weight(self) -> Float[Tensor, "token d_model"]:
        """The rows of the embedding that are of the real vocabulary, and do not pad it."""
        return self.backbone.embedding.weight[: self.config.vocab_size]

    def next_token_loss(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, ""]:
        """Return the mean cross-entropy, in nats, of each token given those before it."""
        hidden = self._hidden_states(tokens, None, None, False)[-1]
        return next_token_loss(hidden, self.head_weight, tokens)

    def logits(
        self,
        input_ids: Int[Tensor, "batch length"] | None = None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
    ) -> Float[Tensor, "batch length token"]:
        """Return the logits of the token after each, of tokens or of their vectors."""
        hidden = self._hidden_states(input_ids, None, inputs_embeds, False)[-1]
        return functional.linear(hidden, self.head_weight)

    def last_states(
        self, inputs_embeds: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch length d_model"]:
        """Return the last hidden states, normed, of tokens whose vectors are given."""
        return self._hidden_states(None, None, inputs_embeds, True)[-1]

    def logits_in_parts(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Tensor | None = None,
        *,
        at_once: int = 1 << 14,
    ) -> Iterator[tuple[slice, Float[Tensor, "batch part token"]]]:
        """Give the logits of some positions at a time, with the positions.

        So a million tokens are scored without ever holding the logits of all. It computes
        when it is asked for a part: switch gradients off around the whole loop.

        Parameters
        ----------
        input_ids, attention_mask
            As in `modeling.HyenaDNAModel.forward`.
        at_once
            Positions of a part.
        """
        yield from self.logits_of(
            self._hidden_states(input_ids, attention_mask, None, False)[-1], at_once=at_once
        )

    def logits_of(
        self, hidden: Float[Tensor, "batch length d_model"], *, at_once: int = 1 << 14
    ) -> Iterator[tuple[slice, Float[Tensor, "batch part token"]]]:
        """Give the logits of hidden states, as `logits_in_parts`, which are the last layer's."""
        for start in range(0, hidden.shape[1], at_once):
            positions = slice(start, min(start + at_once, hidden.shape[1]))
            yield positions, functional.linear(hidden[:, positions], self.head_weight)


class PlainLanguageModel(LanguageModel):
    """A language model that needs nothing of transformers, in evaluation mode.

    Its weights are not set: they are to be loaded.

    Parameters
    ----------
    config
        Of the model.
    """

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone.empty(config, "cpu")
        self.eval()


def check_fits(
    tensors: Mapping[str, Tensor],
    config: Architecture,
    source: str,
    *,
    head: Mapping[str, Tensor] | None = None,
) -> None:
    """Raise an InputError unless the tensors are exactly the parameters of the configuration.

    Parameters
    ----------
    tensors
        By name.
    config
        Of the model.
    source
        What to call them in an error.
    head
        What is expected beside the backbone.
    """
    expected = {**_expected(config, tensors, source), **(head or {})}
    for problem, names in (
        ("lacks", expected.keys() - tensors.keys()),
        ("has a tensor too many:", tensors.keys() - expected.keys()),
    ):
        if names:
            raise InputError(f"{source} {problem} {min(names)} ({len(names)} such in all)")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{source}: {name} has shape {tuple(tensor.shape)}, the configuration asks for "
                f"{tuple(expected[name].shape)}"
            )
        if not tensor.is_floating_point():
            raise InputError(f"{source}: {name} holds {tensor.dtype}; expected real numbers")


_BLOCK = re.compile(r"backbone\.blocks\.(\d+)\.")


def _expected(
    config: Architecture, tensors: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Give names and shapes of the backbone's tensors, without values.

    Of a small configuration a model of any size can be asked for: blocks are counted, and what
    the numbers of one have to be, before anything as large is built.
    """
    blocks = {match[1] for match in map(_BLOCK.match, tensors) if match}
    if config.n_layer != len(blocks):
        raise InputError(
            f"{source} has the tensors of {len(blocks):,} blocks; the configuration asks for "
            f"{config.n_layer:,} (n_layer)"
        )
    if config.num_inner_mlps > len(tensors):
        raise InputError(
            f"{source} lacks the filters' {config.num_inner_mlps:,} inner layers that the "
            "configuration asks for (num_inner_mlps)"
        )
    try:
        return Backbone.empty(config).state_dict(prefix="backbone.")
    except (RuntimeError, OverflowError, TypeError, ValueError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{source}: no model can be as large as the configuration asks: {reason}"
        ) from error


def sequence_length(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> int:
    """Return the tokens of a sequence of the batch, of which one of both is given."""
    if (input_ids is None) == (inputs_embeds is None):
        raise InputError("give either input_ids or inputs_embeds, and not both")
    return static_size(cast("Tensor", inputs_embeds if input_ids is None else input_ids), 1)
