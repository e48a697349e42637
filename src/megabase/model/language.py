"""The language model as a plain torch module, its loss, and batches of padded tokens."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor, nn
from torch.nn import functional

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.model.architecture import Architecture
from megabase.model.backbone import Backbone
from megabase.model.memory_mixer import features_bytes, is_read_beside, log_without_memory
from megabase.ops.recompute import recomputed
from megabase.ops.tracing import is_jit_tracing, static_size, why_traced

_PAD = DNA_VOCABULARY.id_of("[PAD]")


TOKENS_PER_BATCH = 1 << 15
"""Default of the most tokens in a batch, padding included."""


def batches(
    sequences: Iterable[TokenArray], tokens_per_batch: int, *, n_extra_tokens: int = 0
) -> Iterator[list[TokenArray]]:
    """Yield batches of consecutive sequences, as large as their padded size allows.

    Parameters
    ----------
    sequences
        The tokens of each sequence.
    tokens_per_batch
        The most tokens of a batch, including padding. A longer sequence is a batch by itself.
    n_extra_tokens
        Tokens that the model adds to each sequence, such as those of a prompt.
    """
    batch: list[TokenArray] = []
    longest = 0
    for sequence in sequences:
        longest = max(longest, len(sequence))
        if batch and (longest + n_extra_tokens) * (len(batch) + 1) > tokens_per_batch:
            yield batch
            batch, longest = [], len(sequence)
        batch.append(sequence)
    if batch:
        yield batch


def pad(
    batch: Sequence[TokenArray],
) -> tuple[Int64[Tensor, "batch length"], Bool[Tensor, "batch length"]]:
    """Return the tokens of a batch padded on the right, and a mask that is False on padding."""
    longest = max(map(len, batch))
    tokens = torch.full((len(batch), longest), _PAD)
    mask = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, sequence in enumerate(batch):
        tokens[row, : len(sequence)] = torch.from_numpy(sequence.astype(np.int64))
        mask[row, : len(sequence)] = True
    return tokens, mask


NO_TARGET = -100
"""The label of a token that is not a target of the loss, as in all Hugging Face models."""

_CHUNK = 1 << 14  # tokens whose logits are held at once


def target_weights(
    labels: Int[Tensor, "batch length"], weights: Float[Tensor, "batch length"] | None
) -> Float[Tensor, "batch length"]:
    """Return the weight of the prediction made after each token, 0 if it has no target.

    Parameters
    ----------
    labels
        The tokens, with `NO_TARGET` where a token is not a target.
    weights
        Weight of each token as a target; None: all 1.
    """
    is_target = functional.pad(labels[:, 1:] != NO_TARGET, (0, 1), value=False)
    if weights is None:
        return is_target.float()
    return functional.pad(weights[:, 1:].float(), (0, 1)) * is_target


def next_token_loss(
    hidden: Float[Tensor, "batch length d_model"],
    head: Float[Tensor, "token d_model"],
    labels: Int[Tensor, "batch length"],
    *,
    weights: Float[Tensor, "batch length"] | None = None,
    n_targets: Tensor | float | int | None = None,
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy in nats of each token given those before it.

    It is 0 without targets. Logits are computed for 16,384 tokens at a time, and recomputed for
    the gradient.

    Parameters
    ----------
    hidden
        The normed hidden state of each token.
    head
        One row for each token of the vocabulary.
    labels
        The tokens, with `NO_TARGET` where a token is not a target. They are shifted by one here.
    weights
        Weight of each token as a target; None: all 1.
    n_targets
        Divisor of the sum of losses; None: the sum of weights.
    """
    counted = target_weights(labels, weights)
    target = functional.pad(labels[:, 1:].clamp(min=0), (0, 1)).flatten()
    states, flat = hidden.flatten(0, 1), counted.flatten()
    total = hidden.new_zeros((), dtype=torch.float32)
    is_traced = why_traced(hidden) is not None
    for start in range(0, static_size(target, 0), _CHUNK):
        part = slice(start, start + _CHUNK)
        arguments = (states[part], head, target[part], flat[part])
        total = total + (
            _sum_of_chunk(*arguments) if is_traced else recomputed(_sum_of_chunk, *arguments)
        )
    return total / (counted.sum().clamp(min=1e-9) if n_targets is None else n_targets)


def _sum_of_chunk(
    states: Float[Tensor, "chunk d_model"],
    head: Float[Tensor, "token d_model"],
    target: Int[Tensor, " chunk"],
    weights: Float[Tensor, " chunk"],
) -> Float[Tensor, ""]:
    losses = functional.cross_entropy(
        functional.linear(states, head).float(), target, reduction="none"
    )
    return (losses * weights).sum()


class TokenReader(nn.Module):
    """A model with a backbone, which maps tokens to hidden states."""

    config: Architecture
    backbone: Backbone

    def _embedded(
        self,
        input_ids: Int[Tensor, "batch length"] | None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None,
    ) -> Float[Tensor, "batch length d_model"]:
        """Return the embedded tokens, computed or given."""
        sequence_length(input_ids, inputs_embeds)
        return self.backbone.embedding(input_ids) if inputs_embeds is None else inputs_embeds

    def _hidden_states(
        self,
        input_ids: Int[Tensor, "batch length"] | None,
        attention_mask: Tensor | None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None,
        every_layer: bool,
        *,
        features: Float[Tensor, "batch length feature"] | None = None,
        n_blocks: int | None = None,
    ) -> list[Float[Tensor, "batch length d_model"]]:
        """Return a list of hidden states; features of the memory are mixed into the last.

        Parameters
        ----------
        input_ids, inputs_embeds
            Tokens, or embedded tokens; one of the two.
        attention_mask
            0 where a token is padding.
        every_layer
            Also return the embedding and the residual stream after each block but the last.
        features
            Those of the memory; None: they are computed from the tokens, of which the first has an
            empty memory.
        n_blocks
            Blocks to compute; None: all. After fewer the state is the residual stream, without norm
            and memory.
        """
        states, features = self._own_states(
            input_ids, attention_mask, inputs_embeds, every_layer, features, n_blocks
        )
        return self._remembered(states, features, n_blocks)

    def _own_states(
        self,
        input_ids: Int[Tensor, "batch length"] | None,
        attention_mask: Tensor | None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None,
        every_layer: bool,
        features: Float[Tensor, "batch length feature"] | None = None,
        n_blocks: int | None = None,
    ) -> tuple[list[Float[Tensor, "batch length d_model"]], Tensor | None]:
        """Return the hidden states without the memory, and the features that it mixes in.

        Embed tokens if needed, check the length, read the memory, and run the backbone; the
        parameters are those of `_hidden_states`.
        """
        embedded = self._embedded(input_ids, inputs_embeds)
        batch, length = static_size(embedded, 0), static_size(embedded, 1)
        limit = self.config.max_seq_len
        if not batch * length:
            raise InputError(f"a batch must have at least one token, got shape {(batch, length)}")
        if length > limit:
            raise InputError(
                f"a sequence of {length:,} tokens is longer than this model's {limit:,} positions; "
                "split it into windows"
            )
        if is_jit_tracing():  # so that the traced module raises an error for another length
            embedded = embedded.unflatten(1, (length, 1)).squeeze(2)
        mask = None if attention_mask is None else attention_mask.bool()
        is_whole = self._is_whole(n_blocks)
        found = self._read(input_ids, mask, features) if is_whole else None
        states = self.backbone(
            embedded, mask, every_layer=every_layer, n_blocks=n_blocks,
            n_bytes_beside=features_bytes(self.config, batch * length) if is_whole else 0,
            overwrite=inputs_embeds is None,
        )  # fmt: skip
        return states, None if found is None else found()

    def _is_whole(self, n_blocks: int | None) -> bool:
        return n_blocks in (None, len(self.backbone.blocks))

    def _remembered(
        self, states: list[Tensor], features: Tensor | None, n_blocks: int | None = None
    ) -> list[Tensor]:
        """Mix the features into the last hidden states, if they are those after all blocks."""
        memory = self.backbone.memory
        if memory is None or not self._is_whole(n_blocks):
            return states
        return [*states[:-1], memory(states[-1], features)]

    def _read(
        self, input_ids: Tensor | None, mask: Tensor | None, given: Tensor | None
    ) -> Callable[[], Tensor | None]:
        """Return a function that returns what `_features` does; it may be computed in a thread."""
        is_beside = (
            input_ids is not None
            and given is None
            and self.backbone.memory is not None
            and why_traced(input_ids) is None
            and is_read_beside(
                input_ids.shape[1], batch=len(input_ids), max_bytes=self.backbone.engine.max_bytes
            )
        )
        if not is_beside:
            found = self._features(input_ids, mask, given)
            return lambda: found
        thread = ThreadPoolExecutor(1)
        future = thread.submit(self._features, input_ids, mask, given)
        thread.shutdown(wait=False)
        return future.result

    def _features(
        self, input_ids: Tensor | None, mask: Tensor | None, given: Tensor | None
    ) -> Tensor | None:
        """Return the features of the memory, given or computed; None without tokens or memory."""
        memory = self.backbone.memory
        if memory is None:
            if given is not None:
                raise InputError("memory_features were given, but the model has no memory")
            return None
        if given is not None:
            n_features = memory.rules.n_features
            if given.ndim != 3 or static_size(given, 2) != n_features:
                raise InputError(
                    f"memory_features must have shape (batch, length, {n_features}), got "
                    f"{tuple(given.shape)}"
                )
            return given
        if input_ids is None:
            log_without_memory()
            return None
        return memory.features(input_ids, mask, max_bytes=self.backbone.engine.max_bytes)


class LanguageModel(TokenReader):
    """A causal language model of any class. The head is the transposed embedding."""

    @property
    def head_weight(self) -> Float[Tensor, "token d_model"]:
        """The rows of the embedding that belong to the vocabulary, without padding rows."""
        return self.backbone.embedding.weight[: self.config.vocab_size]

    def next_token_loss(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, ""]:
        """Return the mean cross-entropy, in nats, of the tokens from the second on."""
        hidden = self._hidden_states(tokens, None, None, False)[-1]
        return next_token_loss(hidden, self.head_weight, tokens)

    def logits(
        self,
        input_ids: Int[Tensor, "batch length"] | None = None,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
        *,
        features: Float[Tensor, "batch length feature"] | None = None,
    ) -> Float[Tensor, "batch length token"]:
        """Return the logits of the token after each one.

        Parameters
        ----------
        input_ids, inputs_embeds
            Tokens, or embedded tokens; one of the two.
        features
            Those of the memory; None: of a memory that begins with these tokens.
        """
        hidden = self._hidden_states(input_ids, None, inputs_embeds, False, features=features)[-1]
        return functional.linear(hidden, self.head_weight)

    def hidden_states(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Tensor | None = None,
        *,
        n_blocks: int | None = None,
        features: Float[Tensor, "batch length feature"] | None = None,
    ) -> Float[Tensor, "batch length d_model"]:
        """Return the hidden states after some blocks (None: all, normed) of tokens."""
        return self._hidden_states(
            input_ids, attention_mask, None, False, n_blocks=n_blocks, features=features
        )[-1]

    def last_states(
        self,
        inputs_embeds: Float[Tensor, "batch length d_model"],
        *,
        features: Float[Tensor, "batch length feature"] | None = None,
    ) -> Float[Tensor, "batch length d_model"]:
        """Return the last hidden states, normed, of embedded tokens, which are not overwritten.

        Parameters
        ----------
        inputs_embeds
            Embedded tokens.
        features
            Those of the memory; None: all 0.
        """
        return self._hidden_states(None, None, inputs_embeds, True, features=features)[-1]

    def logits_in_chunks(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Tensor | None = None,
        *,
        at_once: int = 1 << 14,
        features: Float[Tensor, "batch length feature"] | None = None,
    ) -> Iterator[tuple[slice, Float[Tensor, "batch part token"]]]:
        """Yield slices of positions with their logits, some positions at a time.

        The logits of a million tokens are never held at once. Everything is computed during the
        iteration, so disable gradients around the whole loop.

        Parameters
        ----------
        input_ids
            Tokens.
        attention_mask
            (batch, length), 0 where a token is padding, which may be on either side.
        at_once
            Positions of a slice.
        features
            Those of the memory; None: of a memory that begins with these tokens.
        """
        hidden = self._hidden_states(input_ids, attention_mask, None, False, features=features)
        yield from self.logits_of(hidden[-1], at_once=at_once)

    def logits_of(
        self, hidden: Float[Tensor, "batch length d_model"], *, at_once: int = 1 << 14
    ) -> Iterator[tuple[slice, Float[Tensor, "batch part token"]]]:
        """Yield slices of positions with the logits of given hidden states.

        Parameters
        ----------
        hidden
            The normed hidden states of the last layer.
        at_once
            Positions of a slice.
        """
        for start in range(0, hidden.shape[1], at_once):
            positions = slice(start, min(start + at_once, hidden.shape[1]))
            yield positions, functional.linear(hidden[:, positions], self.head_weight)


class PlainLanguageModel(LanguageModel):
    """A language model without transformers, in evaluation mode.

    Its weights are not initialised: load them.

    Parameters
    ----------
    config
        The architecture.
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
        Tensors by name.
    config
        The architecture.
    source
        Name of their folder or file in an error.
    head
        Tensors that are expected besides those of the backbone, by name.
    """
    expected = {**_expected(config, tensors, source), **(head or {})}
    for problem, names in (
        ("lacks", expected.keys() - tensors.keys()),
        ("has an unexpected tensor:", tensors.keys() - expected.keys()),
    ):
        if names:
            raise InputError(f"{source} {problem} {min(names)} ({len(names)} such in all)")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{source}: {name} has shape {tuple(tensor.shape)}; its config.json requires "
                f"{tuple(expected[name].shape)}"
            )
        if not tensor.is_floating_point():
            raise InputError(
                f"{source}: {name} has the type {tensor.dtype}; expected floating point"
            )


_BLOCK = re.compile(r"backbone\.blocks\.(\d+)\.")


def _expected(
    config: Architecture, tensors: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Return the backbone's tensors by name, without values.

    A configuration may claim a model of any size, so the number of blocks and of inner layers is
    compared with the tensors before modules are built.
    """
    blocks = {match[1] for match in map(_BLOCK.match, tensors) if match}
    if config.n_layer != len(blocks):
        raise InputError(
            f"{source} has the tensors of {len(blocks):,} blocks; its config.json requires "
            f"{config.n_layer:,} (n_layer)"
        )
    if config.num_inner_mlps > len(tensors):
        raise InputError(
            f"{source} lacks the {config.num_inner_mlps:,} inner layers of the filters that its "
            "config.json requires (num_inner_mlps)"
        )
    try:
        return Backbone.empty(config).state_dict(prefix="backbone.")
    except (RuntimeError, OverflowError, TypeError, ValueError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{source}: a model of the size in its config.json cannot be built: {reason}"
        ) from error


def sequence_length(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> int:
    """Return the length of a batch, of which tokens or embedded tokens are given.

    Raises
    ------
    InputError
        If none or both are given.
    """
    if (input_ids is None) == (inputs_embeds is None):
        raise InputError("give either input_ids or inputs_embeds, but not both")
    return static_size(cast("Tensor", inputs_embeds if input_ids is None else input_ids), 1)
