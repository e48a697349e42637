r"""What an implicit filter is told of a position, and the window that it stands under.

Two families. The published one (`PublishedShape`) takes all positions as fractions of the grid,
:math:`t_j = j / (T - 1)` for a grid of T positions. The features are

.. math:: z_j = \bigl[t_j,\ \cos f_k w_j,\ -\sin f_k w_j\bigr], \quad w_j = 2\pi j / T
   :label: positional-encoding

with the frequencies :math:`f_k` evenly spaced from 1e-4 to one less than their
number. The window decays at a rate of its own in each channel and stops at a floor,

.. math:: \mathrm{Window}_c(t) = e^{-t\,|\delta_c|} + \text{shift}
   :label: window

with :math:`\delta_c` evenly spaced so that the window of the slowest channel has
fallen to 0.01 at t = 1.5, and of the fastest at t = 0.3. So the longer the grid, the smoother
the filter: what distinguishes neighbouring positions vanishes as 1 / T.

The scale-free one (`ScaleFreeShape`, ours) takes positions on a logarithmic scale, on which
every doubling of the distance is a step of the same size,

.. math:: g_j = \frac{\log(1 + j)}{\log(1 + T)}, \quad
   z_j = \bigl[g_j,\ \cos 2^{k+1}\pi g_j,\ \sin 2^{k+1}\pi g_j\bigr], \quad k = 0, 1, \dots
   :label: scale-free-encoding

and its channels reach from a few tokens to the whole grid, the farther the lower,

.. math:: \mathrm{Window}_c(j) = a\,\tau_c^{-p}\, e^{-j / \tau_c}
   :label: scale-free-window

with :math:`\tau_c` evenly spaced in its logarithm from the shortest reach to the longest, which is
a fraction of T, so that a longer grid adds reach without blurring what is near. Windows that reach
far beyond a token and end within the grid have nearly the same sum where p is 1, and the same sum
of squares where p is 1/2; where a is 1 too that sum is nearly 1, as of a weighted mean of what came
before. What a channel has summed up changes along the sequence until this is several times as long
as its window: with a longest reach of T / 4 it has settled, to 2 %, at the end of the grid.

Where we leave the released code: grids and rates are computed from numbers whenever
they are needed, not stored. Its two versions disagree on the floor, which is 0.05 in the
inference code and 0 in the training code; here it is a field of the configuration.

Nguyen et al. 2023, "HyenaDNA", arXiv:2306.15794v2, and its released code.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# Of the exponent of a window. Beyond it a window is nothing; and where the exponential underflows,
# a CPU takes ten times as long to say so.
_LEAST = -60.0
# Where the slowest and the fastest window have fallen to `_TARGET`, in units of the grid.
_TARGET, _SLOWEST, _FASTEST = 1e-2, 1.5, 0.3


@dataclass(frozen=True)
class PublishedShape:
    """Positions as fractions of the grid, as released.

    Parameters
    ----------
    grid
        The longest filter in taps, T; it fixes the time scale of all.
    n_channels
        Filters times channels of the model.
    emb_dim
        Features of a position, odd: one for t, two for each frequency.
    shift
        Floor of the window.
    """

    grid: int
    n_channels: int
    emb_dim: int = 5
    shift: float = 0.05

    def features(self, positions: range, like: Tensor) -> Float[Tensor, "length emb_dim"]:
        """Give the features of some positions, Eq. positional-encoding."""
        return positional_encoding(positions, self.grid, self.emb_dim, like)

    def window(
        self, positions: range, like: Tensor, channels: slice = slice(None)
    ) -> Float[Tensor, "channel length"]:
        """Decay from the present backwards, Eq. window."""
        t = _indices(positions, like) / (self.grid - 1)
        rates = decay_rates(self.n_channels, like)[channels]
        return torch.exp(-t * rates.abs()[:, None]) + self.shift


@dataclass(frozen=True)
class ScaleFreeShape:
    """Positions on a logarithmic scale, and windows of every reach.

    Parameters
    ----------
    grid
        The longest filter in taps, T.
    n_channels
        Filters times channels of the model, which reach ever farther within each filter.
    n_filters
        How many filters share the channels.
    emb_dim
        Features of a position, odd: one for g, two for each of its frequencies.
    shortest_reach
        Tokens in which the window of the first channel falls to 1 / e.
    longest_reach
        The same of the last channel, as a fraction of the grid.
    amplitude, exponent
        Height of a window of reach 1, a, and how it falls with the reach, p.
    """

    grid: int
    n_channels: int
    n_filters: int = 1
    emb_dim: int = 9
    shortest_reach: float = 4.0
    longest_reach: float = 0.25
    amplitude: float = 1.0
    exponent: float = 1.0

    def features(self, positions: range, like: Tensor) -> Float[Tensor, "length emb_dim"]:
        """Give the features of some positions, Eq. scale-free-encoding."""
        g = torch.log1p(_indices(positions, like)[:, None]) / math.log1p(self.grid)
        w = g * 2.0 ** torch.arange(1, (self.emb_dim - 1) // 2 + 1, device=g.device) * math.pi
        return torch.cat([g, torch.cos(w), torch.sin(w)], dim=1)

    def window(
        self, positions: range, like: Tensor, channels: slice = slice(None)
    ) -> Float[Tensor, "channel length"]:
        """Decay from the present backwards, Eq. scale-free-window."""
        tau = self.reaches(like)[channels, None]
        decay = (_indices(positions, like) / -tau).clamp_(min=_LEAST).exp_()
        return decay.mul_(self.amplitude * tau**-self.exponent)

    def reaches(self, like: Tensor) -> Float[Tensor, " channel"]:
        """Give τ, the reach of each channel in tokens, shortest first."""
        longest = max(self.longest_reach * self.grid, self.shortest_reach)
        steps = torch.linspace(
            math.log(self.shortest_reach), math.log(longest),
            self.n_channels // self.n_filters, device=like.device, dtype=like.dtype,
        )  # fmt: skip
        return steps.exp().repeat(self.n_filters)


FilterShape = PublishedShape | ScaleFreeShape


def positional_encoding(
    positions: range, grid: int, emb_dim: int, like: Tensor
) -> Float[Tensor, "length emb_dim"]:
    """Give the published features of some positions, Eq. positional-encoding.

    Parameters
    ----------
    positions
        Positions wanted, in a row.
    grid
        Positions of the whole grid, T.
    emb_dim
        Features of a position: one for t, two for each frequency.
    like
        A tensor with the device and dtype of the answer.
    """
    j = _indices(positions, like)[:, None]
    n_frequencies = (emb_dim - 1) // 2
    f = torch.linspace(1e-4, n_frequencies - 1, n_frequencies, device=j.device, dtype=j.dtype)
    w = 2 * math.pi * j / grid
    return torch.cat([j / (grid - 1), torch.cos(f * w), -torch.sin(f * w)], dim=1)


def decay_rates(n_channels: int, like: Tensor) -> Float[Tensor, " channel"]:
    """Give δ, the rates of Eq. window: negative, slowest first."""
    slowest, fastest = math.log(_TARGET) / _SLOWEST, math.log(_TARGET) / _FASTEST
    return torch.linspace(slowest, fastest, n_channels, device=like.device, dtype=like.dtype)


def _indices(positions: range, like: Tensor) -> Float[Tensor, " length"]:
    return torch.arange(positions.start, positions.stop, device=like.device, dtype=like.dtype)
