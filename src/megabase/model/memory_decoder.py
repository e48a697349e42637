r"""Decoding with a memory: its weights, the last norm and the head, folded into few matrices.

Between the last norm and the logits, everything in Eq. memory-mixer is linear except :math:`\phi`.
With the residual stream :math:`\hat u_t`, from which the mean is subtracted and which is divided by
its deviation, and the head H, the logits are therefore

.. math:: H' \hat u_t + H W_s f_t + H W_3 \phi(W_2 \phi(W_1' \hat u_t + V f_t))
   :label: memory-decoding

where the gain and bias of the norm are part of :math:`H'` and :math:`W_1'` (`ops.folding`), and
biases are left out here. The matrices that multiply :math:`\hat u_t` or :math:`f_t` are one. The
factors in :math:`\phi(\sqrt 2 y) = (y + y \operatorname{erf} y) / \sqrt 2` are part of the matrices
on either side.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.memory_mixer import MemoryMixer
from megabase.model.streaming import wide
from megabase.ops.backends import reading
from megabase.ops.folding import fold_norm
from megabase.ops.memory import Memory, RowFeatures

_HALF = math.sqrt(0.5)


class MemoryWeights:
    """The weights of Eq. memory-decoding, which are read once.

    Parameters
    ----------
    mixer
        The weights that read the memory.
    norm
        The last norm.
    head
        The head, in the dtype of the arithmetic.
    """

    def __init__(
        self, mixer: MemoryMixer, norm: nn.LayerNorm, head: Float[Tensor, "token d_model"]
    ) -> None:
        self.mixer, self.eps = mixer, norm.eps
        first, first_bias = wide(mixer.from_hidden.weight), wide(mixer.from_hidden.bias)
        self.n_inner = len(first)
        weight = torch.cat([first * _HALF, head])
        bias = torch.cat([first_bias * _HALF, head @ wide(mixer.out.bias)])
        weight, self.bias = fold_norm(norm.weight, norm.bias, weight, bias)
        of_features = [wide(mixer.from_features.weight) * _HALF, head @ wide(mixer.skip.weight)]
        self.weight = torch.cat([weight, torch.cat(of_features)], dim=1).t()
        self.inner = wide(mixer.inner.weight).t() * _HALF**2
        self.inner_bias = wide(mixer.inner.bias) * _HALF
        self.out = (head @ wide(mixer.out.weight)).t() * _HALF

    def tensor(self, features: RowFeatures) -> Float[Tensor, "row length feature"]:
        """Return features on the device and in the dtype of the weights."""
        return torch.from_numpy(features).to(self.bias)


class MemoryDecoder:
    """The memories of a batch, and the features after the last token of each sequence.

    At first nothing was read, and all features are 0. They stay 0 in sequences whose tokens are
    unknown, because they were given embedded.

    Parameters
    ----------
    weights
        The weights.
    n_rows
        Sequences of the batch.
    """

    def __init__(self, weights: MemoryWeights, n_rows: int) -> None:
        self._weights = weights
        # The states and the features lie side by side, as do what is added to each: a step
        # multiplies both at once, and allocates little.
        both = weights.bias.new_zeros(n_rows, len(weights.weight))
        d_model = len(weights.weight) - weights.mixer.rules.n_features
        self._both, self._states, self.features = both, both[:, :d_model], both[:, d_model:]
        self._sums = weights.bias.new_empty(n_rows, len(weights.bias))
        self._inner, self._logits = self._sums.tensor_split([weights.n_inner], dim=1)
        self._memories: list[Memory] = []
        self._one_more: _OneMore | None = None

    def read_prompts(
        self,
        tokens: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None,
        *,
        expected: int,
    ) -> None:
        """Read prompts into new memories.

        Parameters
        ----------
        tokens, mask
            The prompts; the mask is False where a token is padding.
        expected
            Tokens that will be read in all; more are possible.
        """
        mixer = self._weights.mixer
        letters = mixer.letters(tokens, mask)
        self._memories = [mixer.new_memory(expected) for _ in letters]
        for memory, row in zip(self._memories, letters, strict=True):
            memory.remember(row[:-1])
        self._one_more = _OneMore(self._memories)
        self.features.copy_(self._one_more.read(letters[:, -1]))

    def read(self, tokens: Int[Tensor, " batch"]) -> None:
        """Append one token to each sequence."""
        if self._one_more is not None:
            letters = DNA_VOCABULARY.base_of_token.take(tokens.cpu().numpy(), mode="clip")
            self.features.copy_(self._one_more.read(letters))

    def continued(
        self,
        tokens: Int[Tensor, "batch length"],
        last: Int[Tensor, " batch"],
    ) -> "MemoryDecoder":
        """Read several continuations of the only sequence, which leaves it as it is.

        Parameters
        ----------
        tokens, last
            The continuations, padded on the right, and the index of the last token of each.

        Returns
        -------
        decoder
            The features after those last tokens; it reads no more.
        """
        letters = self._weights.mixer.letters(tokens)
        features = self._weights.tensor(self._memories[0].read_by_copies(letters))
        after = MemoryDecoder(self._weights, len(tokens))
        after.features.copy_(features[torch.arange(len(tokens), device=last.device), last])
        return after

    def logits(self, r: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch token"]:
        """Return the logits after the last token of each sequence, Eq. memory-decoding.

        Parameters
        ----------
        r
            The residual stream after the last block.
        """
        weights = self._weights
        self._states.copy_(functional.layer_norm(r, r.shape[1:], eps=weights.eps))
        torch.addmm(weights.bias, self._both, weights.weight, out=self._sums)
        inner = torch.addmm(weights.inner_bias, _gelu(self._inner), weights.inner)
        return torch.addmm(self._logits, _gelu(inner), weights.out)


class _OneMore:
    """One more letter for each memory of a batch, always in the same place.

    Parameters
    ----------
    memories
        Those of the batch.
    """

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._letters = np.empty((len(memories), 1), dtype=np.uint8)
        written = np.empty((len(memories), 1, memories[0].rules.n_features), dtype=np.float16)
        self._read = reading(memories, self._letters, written)
        self._features = torch.from_numpy(written[:, 0])

    def read(self, letters: UInt8[np.ndarray, " batch"]) -> Float16[Tensor, "batch feature"]:
        """Append a letter to each memory, and return the features, which the next call replaces."""
        self._letters[:, 0] = letters
        self._read()
        return self._features


def _gelu(y: Float[Tensor, "batch channel"]) -> Float[Tensor, "batch channel"]:
    """Return the GELU of sqrt(2) y, times sqrt(2)."""
    return torch.addcmul(y, y, torch.erf(y))
