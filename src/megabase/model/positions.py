r"""The positional features and the window of an implicit filter.

There are two families. The published one (`PublishedShape`) uses positions as fractions of the
grid, :math:`t_j = j / (T - 1)` for a grid of T positions. The features are

.. math:: z_j = \bigl[t_j,\ \cos f_k w_j,\ -\sin f_k w_j\bigr], \quad w_j = 2\pi j / T
   :label: positional-encoding

with the frequencies :math:`f_k` evenly spaced from 1e-4 to their number minus one. The window
decays to a floor, at a different rate in each channel,

.. math:: \mathrm{Window}_c(t) = e^{-t\,|\delta_c|} + \text{shift}
   :label: window

with :math:`\delta_c` evenly spaced so that the window of the slowest channel has
fallen to 0.01 at t = 1.5, and that of the fastest at t = 0.3. The longer the grid, the smoother
is the filter: the difference of neighbouring positions vanishes as 1 / T.

The scale-free family (`ScaleFreeShape`, our own) uses positions on a logarithmic scale, on which
every doubling of the distance is a step of the same size,

.. math:: g_j = \frac{\log(1 + j)}{\log(1 + T)}, \quad
   z_j = \bigl[g_j,\ \cos 2^{k+1}\pi g_j,\ \sin 2^{k+1}\pi g_j\bigr], \quad k = 0, 1, \dots
   :label: scale-free-encoding

and its windows reach from a few tokens to a large part of the grid, with a height that falls
with the reach,

.. math:: \mathrm{Window}_c(j) = a\,\tau_c^{-p}\, e^{-j / \tau_c}
   :label: scale-free-window

where :math:`\tau_c` is evenly spaced on a logarithmic scale from the shortest reach to the
longest. The longest is a fraction of T, so that a longer grid adds reach without blurring nearby
positions. All windows that are much longer than a token and shorter than the grid have nearly
the same sum if p = 1, and nearly the same sum of squares if p = 1/2. With p = 1 and a = 1 that
sum is nearly 1, as in a weighted mean. The sum over a window is complete only after several
times its reach: with a longest reach of T / 4 it is complete to 2 % at the end of the grid.

Where we differ from the released code: grids and rates are computed when they are needed, not
stored. The floor is 0.05 in the released inference code and 0 in the released training code;
here it is a field of the configuration.

Source: Nguyen et al. 2023, "HyenaDNA", arXiv:2306.15794v2, and its released code.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# Lower limit of the exponent of a window. Windows are negligible there, and a CPU takes ten times
# as long for an exponential that underflows.
_LEAST = -60.0
# The value t at which the slowest and the fastest window have fallen to `_TARGET`.
_TARGET, _SLOWEST, _FASTEST = 1e-2, 1.5, 0.3


@dataclass(frozen=True)
class PublishedShape:
    """Positions as fractions of the grid, as released.

    Parameters
    ----------
    grid
        Taps of the longest filter, T; it sets the scale of t for shorter ones too.
    n_channels
        Number of filters times channels of the model.
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
        """Compute the features of some positions, Eq. positional-encoding."""
        return positional_encoding(positions, self.grid, self.emb_dim, like)

    def window(
        self, positions: range, like: Tensor, channels: slice = slice(None)
    ) -> Float[Tensor, "channel length"]:
        """Compute the window at some positions, Eq. window; position 0 is the present token."""
        t = _indices(positions, like) / (self.grid - 1)
        rates = decay_rates(self.n_channels, like)[channels]
        return torch.exp(-t * rates.abs()[:, None]) + self.shift


@dataclass(frozen=True)
class ScaleFreeShape:
    """Positions on a logarithmic scale, and windows of many reaches.

    Parameters
    ----------
    grid
        Taps of the longest filter, T.
    n_channels
        Number of filters times channels of the model. The reach grows along the channels of a
        filter.
    n_filters
        Number of filters.
    emb_dim
        Features of a position, odd: one for g, two for each of its frequencies.
    shortest_reach
        Reach of the first channel: tokens in which its window falls to 1 / e.
    longest_reach
        Reach of the last channel, as a fraction of the grid.
    amplitude, exponent
        Height of a window of reach 1, a, and the power of the reach that divides it, p.
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
        """Compute the features of some positions, Eq. scale-free-encoding."""
        g = torch.log1p(_indices(positions, like)[:, None]) / math.log1p(self.grid)
        w = g * 2.0 ** torch.arange(1, (self.emb_dim - 1) // 2 + 1, device=g.device) * math.pi
        return torch.cat([g, torch.cos(w), torch.sin(w)], dim=1)

    def window(
        self, positions: range, like: Tensor, channels: slice = slice(None)
    ) -> Float[Tensor, "channel length"]:
        """Compute the window at some positions, Eq. scale-free-window; 0 is the present token."""
        tau = self.reaches(like)[channels, None]
        decay = (_indices(positions, like) / -tau).clamp_(min=_LEAST).exp_()
        return decay.mul_(self.amplitude * tau**-self.exponent)

    def reaches(self, like: Tensor) -> Float[Tensor, " channel"]:
        """Return τ, the reach of each channel in tokens, shortest first in each filter."""
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
    """Compute the published features of some positions, Eq. positional-encoding.

    Parameters
    ----------
    positions
        Consecutive positions of the grid.
    grid
        Positions of the whole grid, T.
    emb_dim
        Features of a position: one for t, two for each frequency.
    like
        A tensor of the device and dtype of the result.
    """
    j = _indices(positions, like)[:, None]
    n_frequencies = (emb_dim - 1) // 2
    f = torch.linspace(1e-4, n_frequencies - 1, n_frequencies, device=j.device, dtype=j.dtype)
    w = 2 * math.pi * j / grid
    return torch.cat([j / (grid - 1), torch.cos(f * w), -torch.sin(f * w)], dim=1)


def decay_rates(n_channels: int, like: Tensor) -> Float[Tensor, " channel"]:
    """Return δ, the rates of Eq. window: negative, slowest first.

    Parameters
    ----------
    n_channels
        Number of rates.
    like
        A tensor of the device and dtype of the result.
    """
    slowest, fastest = math.log(_TARGET) / _SLOWEST, math.log(_TARGET) / _FASTEST
    return torch.linspace(slowest, fastest, n_channels, device=like.device, dtype=like.dtype)


def _indices(positions: range, like: Tensor) -> Float[Tensor, " length"]:
    return torch.arange(positions.start, positions.stop, device=like.device, dtype=like.dtype)
