r"""The causal convolutions, long and short, of signals that arrive one token at a time.

The contributions of earlier tokens to later ones are summed in tiles. When n tokens are known,
the contributions of the last U tokens to the next U are added, where U is the largest power of
two that divides n:

.. math:: f_{n+j} \mathrel{+}= \sum_{s=n-U}^{n-1} h_{n+j-s}\, u_s, \qquad 0 \le j < U
   :label: online-tiles

Each pair of an earlier and a later token lies in exactly one tile, so that the sums are exactly
those of Eq. long-conv. A tile takes one FFT of 2 U points, and a token O(log² length) time on
average. Within a block of `BLOCK` tokens, contributions are summed directly.

Source: the relaxed multiplication of van der Hoeven 2002, doi:10.1016/S0747-7171(02)90131-1;
for long convolutions Oncescu et al. 2024, arXiv:2410.12982.
"""

from typing import Protocol

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from megabase.errors import InputError
from megabase.ops.fft import fft_length

BLOCK = 64
"""Tokens of a block, within which contributions are summed directly."""

_PRODUCTS_AT_ONCE = 1 << 17  # of a direct sum; this many fit the caches of a CPU
_CHUNK_BYTES = 16 << 20  # of padded signals in one FFT call; see `ops.gated_conv`


class Sums(Protocol):
    """Contributions of the tokens so far to later ones, for several filters at once.

    Attributes
    ----------
    position
        Number of tokens so far.
    """

    position: int

    @property
    def past(self) -> Float[Tensor, "filter batch channel"]:
        """Contribution of all tokens so far to the next one, without its own."""
        ...

    def push(self, u: Float[Tensor, "filter batch channel"]) -> None:
        """Append the next token."""
        ...


class DirectSums:
    """The sums by their definition: each token costs a product with every token before it.

    Parameters
    ----------
    taps
        The filters, with at least one tap for each token to come. The first tap is not used.
    future
        Contribution of a prompt to each token to come; its length is the most tokens that can be
        pushed.
    """

    def __init__(
        self,
        taps: Float[Tensor, "filter channel tap"],
        future: Float[Tensor, "filter channel batch length"],
    ) -> None:
        self.position = 0
        self._future, self._signal = future, torch.zeros_like(future)
        self._reversed = taps[..., : future.shape[-1]].flip(-1)

    @property
    def past(self) -> Float[Tensor, "filter batch channel"]:
        """Contribution of all tokens so far to the next one, computed at each call."""
        # A reversed filter turns the sum over lags into a product of two slices.
        n, (*shape, batch, length) = self.position, self._signal.shape
        signal = self._signal[..., :n].flatten(0, 1)
        taps = self._reversed[..., length - n - 1 : length - 1].flatten(0, 1)[:, None]
        rows = max(1, _PRODUCTS_AT_ONCE // (batch * max(n, 1)))
        chunks = [slice(start, start + rows) for start in range(0, len(signal), rows)]
        past = torch.cat([(signal[chunk] * taps[chunk]).sum(-1) for chunk in chunks])
        return (past.view(*shape, batch) + self._future[..., n]).transpose(1, 2)

    def push(self, u: Float[Tensor, "filter batch channel"]) -> None:
        """Append the next token; an InputError is raised if there is no room for it."""
        _check_space(self.position, self._signal)
        self._signal[..., self.position] = u.transpose(1, 2)
        self.position += 1


class TiledSums:
    """The sums of `DirectSums` in tiles, Eq. online-tiles.

    Parameters
    ----------
    taps
        The filters, with at least one tap for each token to come. The first tap is not used.
    future
        Contribution of a prompt to each token to come; its length is the most tokens that can be
        pushed. It is overwritten: once a token has arrived, its sum is no longer needed, and the
        token itself is stored in that place.
    """

    def __init__(
        self,
        taps: Float[Tensor, "filter channel tap"],
        future: Float[Tensor, "filter channel batch length"],
    ) -> None:
        n_filters, n_channels, batch, length = future.shape
        self.position = 0
        self._taps = taps.flatten(0, 1)
        self._signal = future  # inputs before `position`, sums from there on
        self._spectra: dict[int, Tensor] = {}
        self._block = future.new_zeros(BLOCK, n_filters, batch, n_channels)
        self._near = future.new_zeros(BLOCK, n_filters, 1, n_channels)
        near = taps[..., : min(BLOCK, length)]
        self._near[: near.shape[-1], :, 0] = near.permute(2, 0, 1)
        self._load_block()

    @property
    def past(self) -> Float[Tensor, "filter batch channel"]:
        """Contribution of all tokens so far to the next one, without its own."""
        return self._block[self.position % BLOCK]

    def push(self, u: Float[Tensor, "filter batch channel"]) -> None:
        """Append the next token, and add the tile that it completes.

        An InputError is raised if there is no room for it.
        """
        _check_space(self.position, self._signal)
        row = self.position % BLOCK
        self._block[row + 1 :].addcmul_(self._near[1 : BLOCK - row], u)  # to the rest of the block
        self._block[row] = u
        self.position += 1
        if row == BLOCK - 1 and self.position < self._signal.shape[-1]:
            self._store_block()
            self._add_tile()
            self._load_block()

    def _store_block(self) -> None:
        """Write the inputs of the block that is now full to the signal."""
        place = self._signal[..., self.position - BLOCK : self.position]
        place.copy_(self._block.permute(1, 3, 2, 0))

    def _load_block(self) -> None:
        """Copy the sums of the next block, to which its own tokens will be added."""
        coming = self._signal[..., self.position : self.position + BLOCK].permute(3, 0, 2, 1)
        self._block[: len(coming)] = coming

    def _add_tile(self) -> None:
        """Add the tile that ends at the current position, truncated at the last token to come."""
        n, (batch, length) = self.position, self._signal.shape[-2:]
        tile = n & -n  # the largest power of two that divides n
        n_out = min(tile, length - n)
        # The FFT is only as long as the taps it reads: what wraps around lands on the first
        # `tile` outputs, which are discarded.
        points = 2 * tile if n_out == tile else fft_length(tile + n_out)
        rows = max(1, _CHUNK_BYTES // (batch * points * self._signal.itemsize))
        signal = self._signal.flatten(0, 1)
        for start in range(0, len(signal), rows):
            chunk = slice(start, start + rows)
            spectra = torch.fft.rfft(signal[chunk, :, n - tile : n], n=points)
            spectra *= self._spectra_of_taps(chunk, tile, n_out, points)[:, None]
            sums = torch.fft.irfft(spectra, n=points)[..., tile : tile + n_out]
            signal[chunk, :, n : n + n_out] += sums

    def _spectra_of_taps(
        self, rows: slice, tile: int, n_out: int, points: int
    ) -> Complex[Tensor, "row frequency"]:
        """Return the spectra of the taps of a tile; those of tiles that recur are cached."""
        # A tile of U tokens occurs every 2 U tokens: caching pays if it occurs more than once.
        comes_again = n_out == tile and self._signal.shape[-1] // tile >= 4
        if not comes_again:
            return torch.fft.rfft(self._taps[rows, : tile + n_out], n=points)
        if tile not in self._spectra:
            self._spectra[tile] = torch.fft.rfft(self._taps[:, : 2 * tile], n=points)
        return self._spectra[tile][rows]


class ShortSums:
    """The contributions of the latest tokens to the next one, by Eq. short-conv.

    Parameters
    ----------
    taps, bias
        The short filters; the last tap weights the present token.
    recent
        The inputs of the latest tokens, the oldest first.

    Attributes
    ----------
    present
        The tap of the present token.
    inputs
        Where the caller writes the inputs of the next token; each `push` replaces it.
    past
        The bias, and the contributions of all tokens so far to the next one.
    """

    def __init__(
        self,
        taps: Float[Tensor, "filter channel tap"],
        bias: Float[Tensor, "filter channel"],
        recent: Float[Tensor, "filter batch channel tap-1"],
    ) -> None:
        *earlier, self.present = (tap[:, None].contiguous() for tap in taps.unbind(-1))
        self._taps, self._bias = earlier[::-1], bias[:, None]  # that of the latest token first
        self._recent = [each.contiguous() for each in recent.unbind(-1)][::-1]
        self.inputs = recent.new_zeros(recent.shape[:-1])
        self.past = torch.empty_like(self.inputs)
        self._sum()

    def push(self) -> None:
        """Append the token that was written to `inputs`."""
        # The oldest buffer is reused for the inputs of the next token.
        self._recent.insert(0, self.inputs)
        self.inputs = self._recent.pop()
        self._sum()

    def _sum(self) -> None:
        self.past.copy_(self._bias)
        for tap, inputs in zip(self._taps, self._recent, strict=True):
            self.past.addcmul_(tap, inputs)


def _check_space(position: int, signal: Tensor) -> None:
    if position == signal.shape[-1]:
        raise InputError(
            f"there is room for {position:,} tokens, and one more was given; increase n_steps"
        )
