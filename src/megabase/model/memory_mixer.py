r"""The weights that read the memory: what followed earlier places like the present one.

The features :math:`f_t` of `ops.memory` enter a small network next to the last hidden state
:math:`u_t`, whose output is added to it:

.. math:: u_t \leftarrow u_t + W_s f_t + W_3 \phi(W_2 \phi(W_1 u_t + V f_t))
   :label: memory-mixer

with :math:`\phi` the GELU, and biases in the three maps of the network. Heads, embeddings and
logits are computed from the result, as they are without a memory. Without features (embedded
tokens instead of tokens), :math:`f_t = 0`.

The blocks do not see the features, so that :math:`u_t` before the sum predicts the next base
without a memory. In training its own loss is added to that of the model (`own_loss_weight`):
otherwise the blocks would leave to the memory what they can learn themselves, and the model would
be worse than one without a memory when little was read.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import Architecture
from megabase.ops.backends import memory_features, new_memory
from megabase.ops.memory import (
    UNKNOWN,
    Gaps,
    Memory,
    MemoryBase,
    MemoryRules,
    Odds,
    Rows,
    default_odds,
)
from megabase.ops.native_memory import native_memory_bytes
from megabase.ops.tracing import why_traced

_log = logging.getLogger(__name__)

_TOKENS_AT_ONCE = 1 << 14
_LONG = 1 << 14  # tokens from which a sequence is read beside the blocks
_HALF, _SINGLE = 2, 4  # bytes of a feature, and of a channel


def memory_rules(config: Architecture) -> MemoryRules | None:
    """Return what the memory of a model counts and follows; None: it has no memory."""
    orders, seeds = config.memory_orders or [], config.pointer_orders or []
    if not orders and not seeds:
        return None
    return MemoryRules(
        orders=tuple(orders),
        pointer_orders=tuple(seeds),
        n_pointers=config.memory_pointers,
        n_recent=config.pointer_occurrences,
        n_agreeing=config.pointer_agreement,
        n_exact=config.pointer_exact,
        n_right=config.pointer_hits,
        life=config.pointer_life,
    )


def features_bytes(config: Architecture, n_tokens: int) -> int:
    """Return the bytes of the features of some tokens; 0 without a memory."""
    rules = memory_rules(config)
    return 0 if rules is None else _HALF * n_tokens * rules.n_features


def tables_bytes(config: Architecture, length: int, *, batch: int = 1) -> int:
    """Return the bytes of memories of sequences, one for each thread; 0 without a memory."""
    rules = memory_rules(config)
    n_memories = min(batch, torch.get_num_threads())
    return 0 if rules is None else n_memories * native_memory_bytes(rules, length)


def is_read_beside(length: int, *, batch: int = 1, max_bytes: int | None = None) -> bool:
    """Return whether the memory of a batch is read in a thread while the blocks are computed.

    One memory uses one thread, and the blocks do not need its features. Several sequences are read
    by all threads before, and so is a short one, or any if memory is limited.
    """
    return batch == 1 and length >= _LONG and max_bytes is None


def reading_bytes(
    config: Architecture, length: int, *, batch: int = 1, max_bytes: int | None = None
) -> int:
    """Return the memory that is needed to compute the features of a batch; 0 without a memory.

    Embedded tokens, features, and a memory for each thread.

    Parameters
    ----------
    config
        The architecture.
    length
        Tokens of a sequence.
    batch
        Sequences in a batch.
    max_bytes
        The most memory that tensors may take; None: no limit.

    Returns
    -------
    n_bytes
        In bytes.

    Raises
    ------
    InputError
        If it is above the limit.
    """
    rules = memory_rules(config)
    if rules is None:
        return 0
    embedded = _SINGLE * batch * length * config.d_model
    n_bytes = embedded + features_bytes(config, batch * length)
    n_bytes += tables_bytes(config, length, batch=batch)
    if max_bytes is not None and n_bytes > max_bytes:
        raise InputError(
            f"the memory of {batch} x {length:,} tokens needs at least {n_bytes / 2**30:.2f} GiB "
            f"besides the weights; the limit is {max_bytes / 2**30:.2f} GiB; raise it or shorten "
            "the input"
        )
    return n_bytes


class MemoryMixer(nn.Module):
    """The weights that read the memory, Eq. memory-mixer, and the table of its pointers.

    Parameters
    ----------
    config
        The architecture, with a memory.
    """

    pointer_odds: Tensor

    base: MemoryBase | None = None
    """What every memory has read before it begins, as of an index; None: nothing."""

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        self.config = config
        self.rules = cast("MemoryRules", memory_rules(config))
        n, d, width = self.rules.n_features, config.d_model, config.memory_width
        self.from_hidden = nn.Linear(d, width)
        self.from_features = nn.Linear(n, width, bias=False)
        self.inner = nn.Linear(width, width // 2)
        self.out = nn.Linear(width // 2, d)
        self.skip = nn.Linear(n, d, bias=False)
        # Fitted by counting, not by the gradient: a buffer, so that nothing can train it.
        self.register_buffer("pointer_odds", torch.tensor(default_odds(), dtype=torch.float32))

    def odds(self) -> Odds:
        """Return the log-odds of pointers, by their hits."""
        return self.pointer_odds.detach().float().cpu().numpy()

    def new_memory(self, expected: int, gaps: Gaps = ()) -> Memory:
        """Return a memory for about `expected` letters, which begins after the base, if any.

        Parameters
        ----------
        expected
            Letters that it will read.
        gaps
            Parts of the base that count as unknown.
        """
        return new_memory(self.rules, self.odds(), expected=expected, base=self.base, gaps=gaps)

    def memory_after(self, base: MemoryBase, gaps: Gaps, expected: int) -> Memory:
        """Return a memory for about `expected` letters that begins after another base."""
        return new_memory(self.rules, self.odds(), expected=expected, base=base, gaps=gaps)

    def features(
        self,
        tokens: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None = None,
        *,
        gaps: Sequence[Gaps] | None = None,
        max_bytes: int | None = None,
    ) -> Float[Tensor, "batch length feature"]:
        """Return the features after each token, of sequences with a new memory each.

        Parameters
        ----------
        tokens
            Token ids. A token that is not a base is an unknown letter.
        mask
            False where a token is padding.
        gaps
            For each sequence, parts of the base that count as unknown; None: none.
        max_bytes
            The most memory that tensors may take; None: no limit.

        Raises
        ------
        InputError
            If the model is being traced, exported or compiled, because the memory is not made of
            tensors; or if the limit is too low.
        """
        if (why := why_traced(tokens)) is not None:
            raise InputError(
                f"a model with a memory cannot be traced ({why}); pass memory_features, which "
                "`model.backbone.memory.features(input_ids)` returns"
            )
        batch, length = tokens.shape
        reading_bytes(self.config, length, batch=batch, max_bytes=max_bytes)
        features = memory_features(
            self.rules, self.odds(), self.letters(tokens, mask), base=self.base, gaps=gaps
        )
        return torch.from_numpy(features).to(tokens.device)

    @staticmethod
    def letters(
        tokens: Int[Tensor, "batch length"], mask: Bool[Tensor, "batch length"] | None = None
    ) -> Rows:
        """Return the numbers of letters of tokens; padding, False in the mask, is unknown."""
        numbers = DNA_VOCABULARY.to_bases(tokens.cpu().numpy())
        return numbers if mask is None else np.where(mask.cpu().numpy(), numbers, np.uint8(UNKNOWN))

    def forward(
        self,
        hidden: Float[Tensor, "batch length d_model"],
        features: Float[Tensor, "batch length feature"] | None,
    ) -> Float[Tensor, "batch length d_model"]:
        """Add the output of the network to the last hidden states, in place without gradients.

        Parameters
        ----------
        hidden
            The normed output of the blocks.
        features
            Those of the memory; None: all 0.
        """
        parts = _parts(hidden)
        if len(parts) == 1:
            return self._mixed(hidden, features)
        for part in parts:
            of_part = None if features is None else features[:, part]
            hidden[:, part] = self._mixed(hidden[:, part], of_part)
        return hidden

    def _mixed(self, hidden: Tensor, features: Tensor | None) -> Tensor:
        inner = self.from_hidden(hidden)
        if features is not None:
            features = features.to(hidden.dtype)
            inner = inner + self.from_features(features)
        inner = functional.gelu(self.inner(functional.gelu(inner)))
        mixed = hidden + self.out(inner)
        return mixed if features is None else mixed + self.skip(features)


@cache
def log_without_memory() -> None:
    """Log, once, that embedded tokens were given to a model with a memory."""
    _log.info("the memory is not used, because embedded tokens were given instead of tokens")


def _parts(tokens: Float[Tensor, "batch length d_model"]) -> list[slice]:
    """Return slices of positions that are computed one after the other, in place.

    Inner channels and wide features of a million tokens are then never held at once. There is one
    slice if gradients are needed, or the call is traced.
    """
    if torch.is_grad_enabled() or why_traced(tokens) is not None:
        return [slice(None)]
    at_once = max(1, _TOKENS_AT_ONCE // len(tokens))
    return [slice(i, i + at_once) for i in range(0, tokens.shape[1], at_once)]
