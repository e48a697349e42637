r"""The mixing of a Hyena operator of order 2 as one function that saves little for its gradient.

It computes `definition.gated_conv` for a chunk of channels at a time, so that intermediate
results stay in the caches of a CPU and never exist for all channels at once.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor
from torch.nn import functional

from megabase.errors import InputError
from megabase.ops import fft
from megabase.ops.fft import Transform
from megabase.ops.short_conv import ShortFilter, apply_short, plain_short_conv, short_backward
from megabase.ops.taps import with_skip

N_STREAMS = 3
"""Streams of the operator, in this order: the last gate, the first gate, and the value."""

_LAST, _FIRST, _VALUE = range(N_STREAMS)
# Bytes of padded signals in a chunk. On a CPU, chunks must not be too small, because every FFT
# call makes a new plan, and must stay below 32 MiB: the C library returns larger blocks to the
# system after each use, which then have to be cleared again.
_CHUNK_ON_CPU, _CHUNK_ELSEWHERE = 16 << 20, 1 << 30
_CACHE_ON_CPU = 1 << 20  # bytes of the channels that the short filter processes at once
KEPT_NUMBERS = 1 << 24
"""Up to this many numbers of spectra and convolutions are saved for the gradient."""


def gated_conv(
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
    *,
    make_mixer: "MakeMixer",
) -> Float[Tensor, "batch channel length"]:
    """Compute `definition.gated_conv`, saving only streams and filters for the gradient.

    Gates are recomputed in the backward pass. So are convolutions and spectra, unless they are
    small (`n_kept`). The gradient can be differentiated again.

    Parameters
    ----------
    streams
        The last gate, the first gate and the value, before the short filter.
    short
        The short filter of each channel of each stream.
    h
        The long filter; ``h[:, 0]`` weights the present token.
    d
        Skip weight, added to ``h[:, 0]``.
    mask
        False where a token is padding, which is set to zero before the long convolution.
    make_mixer
        Creates the mixer that computes chunks.

    Returns
    -------
    y
        In the dtype of `streams`; computed in float32 or wider, even under autocast.
    """
    return cast("Tensor", _GatedConv.apply(make_mixer, streams, *short, h, d, mask))


def n_kept(batch: int, n_channels: int, length: int) -> int:
    """Return how many numbers `gated_conv` saves for the gradient besides streams and filters.

    Parameters
    ----------
    batch, n_channels, length
        Sizes of its output.
    """
    n = 2 * length
    n_numbers = n_channels * n * (2 * batch + 1)  # convolutions; spectra of signals and filter
    return n_numbers if n_numbers <= KEPT_NUMBERS else 0


class _GatedConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        make_mixer: "MakeMixer",
        streams: Tensor,
        taps: Tensor,
        bias: Tensor,
        edge: Tensor,
        h: Tensor,
        d: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        short = ShortFilter(taps, bias, edge).wide()
        y = streams.new_empty(len(streams), len(h), streams.shape[-1])
        is_kept = any(ctx.needs_input_grad) and n_kept(len(streams), *h.shape) > 0
        kept: list[Tensor] = []
        ctx.make_mixer, mixer = make_mixer, make_mixer(streams, len(h), is_kept)
        with torch.autocast(streams.device.type, enabled=False):
            for rows in mixer.chunks(len(h)):
                parts = split_streams(streams, short, rows)
                long = with_skip(h[rows], d[rows])
                kept.extend(mixer.mix(parts, mask, long, out=y[:, rows], keep=is_kept) or ())
        ctx.save_for_backward(streams, taps, bias, edge, h, d, mask, *kept)
        return y

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        dy: Tensor,
    ) -> tuple[Tensor | None, ...]:
        streams, taps, bias, edge, h, d, mask, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: the gradient must be differentiable
            return None, *_plain_gradients((streams, taps, bias, edge, h, d), mask, dy), None
        short = ShortFilter(taps, bias, edge).wide()
        d_streams, d_h, d_d = torch.empty_like(streams), torch.empty_like(h), torch.empty_like(d)
        d_short = ShortFilter(*map(torch.empty_like, short))
        mixer, of_chunks = ctx.make_mixer(streams, len(h), False), iter(kept)
        with torch.autocast(streams.device.type, enabled=False):
            for rows in mixer.chunks(len(h)):
                parts = split_streams(streams, short, rows)
                d_parts = split_streams(d_streams, d_short, rows)
                made = list(islice(of_chunks, len(Convolved._fields)))
                given = Convolved(*made) if made else with_skip(h[rows], d[rows])
                d_h[rows] = mixer.mix_backward(dy[:, rows], parts, d_parts, mask, given)
                d_d[rows] = d_h[rows, 0]  # the skip weight is part of the first tap
        return None, d_streams, *d_short, d_h, d_d, None


def refuse_second_derivative() -> None:
    """Raise an InputError if called in a backward pass with ``create_graph=True``."""
    if torch.is_grad_enabled():
        raise InputError(
            "this engine cannot compute second derivatives; set model.backbone.engine = "
            "megabase.ops.backends.Engine('plain')"
        )


def plain_gated_conv(
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> Float[Tensor, "batch channel length"]:
    """Compute `gated_conv`, whose parameters these are, by torch operations alone.

    The result is twice differentiable.
    """
    wide = streams.to(torch.promote_types(streams.dtype, torch.float32))
    last, first, value = plain_short_conv(wide, short.wide()).chunk(N_STREAMS, dim=1)
    z = first * value
    z = z if mask is None else z.masked_fill(~mask, 0.0)
    return (last * fft.causal_conv(z, h, d)).to(streams.dtype)


def _plain_gradients(
    given: tuple[Tensor, ...], mask: Tensor | None, dy: Tensor
) -> tuple[Tensor | None, ...]:
    """Return differentiable gradients of streams, short filter, long filter and skip weight."""
    # Views, because one input may have been computed from another, and its gradient must not
    # include what reaches it through that other one.
    views = [t.view_as(t) for t in given]
    streams, taps, bias, edge, h, d = views
    y = plain_gated_conv(streams, ShortFilter(taps, bias, edge), h, d, mask)
    wanted = [view for view in views if view.requires_grad]
    found = iter(torch.autograd.grad(y, wanted, dy, create_graph=True))
    return tuple(next(found) if view.requires_grad else None for view in views)


class Part(NamedTuple):
    """Some channels of one stream, (batch, channel, length), with their short filter."""

    stream: Tensor
    short: ShortFilter

    def at(self, rows: slice) -> "Part":
        """Return the given channels of this part."""
        return Part(self.stream[:, rows], ShortFilter(*(t[rows] for t in self.short)))


def split_streams(streams: Tensor, short: ShortFilter, rows: slice) -> list[Part]:
    """Return the given channels of each stream and of its short filter, as views.

    Parameters
    ----------
    streams, short
        All streams, one after the other along the channels, and their short filters.
    rows
        Channels of a stream.
    """
    n_channels = streams.shape[1] // N_STREAMS
    starts = range(rows.start, streams.shape[1], n_channels)
    whole = Part(streams, short)
    return [whole.at(slice(start, start + rows.stop - rows.start)) for start in starts]


class Convolved(NamedTuple):
    """Intermediate results before the last gate, for some channels.

    Attributes
    ----------
    conv
        Output of the long convolution, (batch, channel, length).
    z, h
        Spectra of the input of the long convolution, (channel, batch, frequency), and of the
        long filter, (channel, 1, frequency).
    """

    conv: Tensor
    z: Tensor
    h: Tensor


@runtime_checkable
class Mixer(Protocol):
    """Computes the gated convolution for a chunk of channels at a time; see `Workspace`.

    Attributes
    ----------
    layout
        Memory layout of spectra: mixers of the same layout can share spectra.
    """

    layout: str

    def chunks(self, n_channels: int) -> Iterator[slice]:
        """Divide channels into chunks."""
        ...

    def spectra_of(self, taps: Float[Tensor, "channel length"]) -> Tensor:
        """Return the spectra of long filters for `mix`; the skip weight is in the first tap."""
        ...

    def mix(
        self,
        parts: list[Part],
        mask: Tensor | None,
        long: Tensor,
        *,
        out: Tensor,
        keep: bool = False,
    ) -> Convolved | None:
        """Write the operator's output to `out`; `long` holds taps or their spectra.

        With `keep` it may return intermediate results that save `mix_backward` work.
        """
        ...

    def mix_backward(
        self,
        dy: Tensor,
        parts: list[Part],
        d_parts: list[Part],
        mask: Tensor | None,
        given: Tensor | Convolved,
    ) -> Tensor:
        """Write the gradients of streams and short filters; return that of the long filter.

        Parameters
        ----------
        dy
            Gradient of the output of `mix`.
        parts, mask
            As passed to `mix`.
        d_parts
            Where to write the gradients of `parts`.
        given
            The taps of the long filter, or what `mix` returned.
        """
        ...


MakeMixer = Callable[[Tensor, int, bool], Mixer]
"""Creates a mixer from the streams, the channels of one, and whether `mix` is called with keep."""


class Workspace:
    """A `Mixer` by torch operations, with buffers for one chunk of channels.

    The buffer that the FFT reads is cleared once; only its first `length` columns are written, so
    that the zero padding stays.

    Parameters
    ----------
    streams
        Tensor of the batch, length, dtype and device of the streams.
    n_channels
        Channels of a stream.
    transform
        The FFT for signals of this length, device and dtype, at least float32.
    n_filters
        1 to transform filters together with the signals, 0 if their spectra are given.
    reuse_spectra
        Whether the spectra of a chunk may overwrite those of the chunk before.
    """

    layout = "channels"

    def __init__(
        self,
        streams: Tensor,
        n_channels: int,
        transform: Transform,
        *,
        n_filters: int = 1,
        reuse_spectra: bool = True,
    ) -> None:
        self.batch, _, self.length = streams.shape
        wide = torch.promote_types(streams.dtype, torch.float32)
        self.transform = transform
        n_rows = self.batch + n_filters
        row_bytes = n_rows * self.transform.n * wide.itemsize
        on_cpu = streams.device.type == "cpu"
        chunk_bytes = _CHUNK_ON_CPU if on_cpu else _CHUNK_ELSEWHERE
        cache_bytes = _CACHE_ON_CPU if on_cpu else _CHUNK_ELSEWHERE
        self.n_at_once = max(1, min(n_channels, chunk_bytes // row_bytes))
        channel_bytes = self.batch * self.length * wide.itemsize
        self._n_in_cache = max(1, min(self.n_at_once, cache_bytes // channel_bytes))
        shape = (2, self.batch, self._n_in_cache, self.length)
        self._padded = streams.new_zeros(self.n_at_once, n_rows, self.transform.n_in, dtype=wide)
        self._spectra = (
            self.transform.spectra_buffer(self.n_at_once, n_rows) if reuse_spectra else None
        )
        self._scratch = streams.new_empty(shape, dtype=wide)

    def chunks(self, n_channels: int) -> Iterator[slice]:
        """Divide channels into chunks."""
        for start in range(0, n_channels, self.n_at_once):
            yield slice(start, min(start + self.n_at_once, n_channels))

    def spectra_of(
        self, taps: Float[Tensor, "channel length"]
    ) -> Complex[Tensor, "channel 1 frequency"]:
        """Return the spectra of long filters for `mix`; the skip weight is in the first tap."""
        padded = functional.pad(taps, (0, self.transform.n_in - self.length))
        return self.transform.forward(padded)[:, None]

    def mix(
        self,
        parts: list[Part],
        mask: Tensor | None,
        long: Tensor,
        *,
        out: Tensor,
        keep: bool = False,
    ) -> Convolved | None:
        """Write the operator's output for some channels; with `keep`, return what led to it.

        Parameters
        ----------
        parts
            These channels of each stream.
        mask
            False where a token is padding.
        long
            The long filter of each channel, (channel, length), with the skip weight in its first
            tap; or its spectrum, (channel, 1, frequency).
        out
            Output, (batch, channel, length), of any dtype.
        keep
            Whether to return intermediate results for `mix_backward`.
        """
        made = self.convolve(parts, mask, long, keep=keep)
        for rows in self._in_cache(len(long)):
            last = self._filtered(parts[_LAST].at(rows), 0)
            torch.mul(last, made.conv[:, rows], out=out[:, rows])
        return made if keep else None

    def convolve(
        self, parts: list[Part], mask: Tensor | None, long: Tensor, *, keep: bool
    ) -> Convolved:
        """Gate and convolve some channels; without `keep` the product overwrites the spectrum z."""
        self._gate(parts, mask)
        z, h = self._transform(long)
        product = z * h if keep else z.mul_(h)
        return Convolved(self._signals(self.transform.inverse(product)), z, h)

    def mix_backward(
        self,
        dy: Tensor,
        parts: list[Part],
        d_parts: list[Part],
        mask: Tensor | None,
        given: Tensor | Convolved,
    ) -> Tensor:
        """Write the gradients of streams and short filters; return that of the long filter."""
        # y = last * conv, conv = h * z (convolved), z = first * value. In frequencies, the gradient
        # of a convolution is the product with the conjugate of the other factor.
        is_made = isinstance(given, Convolved)
        made = given if is_made else self.convolve(parts, mask, given, keep=True)
        n_channels = dy.shape[1]
        padded = self._padded[:n_channels, : self.batch]
        for rows in self._in_cache(n_channels):
            last = self._filtered(parts[_LAST].at(rows), 0)
            torch.mul(dy[:, rows], last, out=self._signals(padded[rows]))
            d_last = torch.mul(dy[:, rows], made.conv[:, rows], out=last)
            _part_backward(d_last, parts[_LAST].at(rows), d_parts[_LAST].at(rows))
        g = self.transform.forward(padded)  # spectrum of the gradient of conv
        d_h = self.transform.inverse(torch.linalg.vecdot(made.z, g, dim=1))[:, : self.length]
        dz = self._signals(self.transform.inverse(g.mul_(made.h.conj())))
        for rows in self._in_cache(n_channels):
            self._gate_backward(dz[:, rows], parts, d_parts, mask, rows)
        return d_h

    def _gate(self, parts: list[Part], mask: Tensor | None) -> None:
        """Write the first gate times the value into the buffer that the FFT reads."""
        for rows in self._in_cache(parts[_FIRST].stream.shape[1]):
            first = self._filtered(parts[_FIRST].at(rows), 0)
            value = self._filtered(parts[_VALUE].at(rows), 1)
            z = torch.mul(first, value, out=self._signals(self._padded[rows]))
            if mask is not None:
                z.masked_fill_(~mask, 0.0)

    def _gate_backward(
        self,
        dz: Tensor,
        parts: list[Part],
        d_parts: list[Part],
        mask: Tensor | None,
        rows: slice,
    ) -> None:
        """Write the gradients of the inputs of `_gate`, for some channels."""
        if mask is not None:
            dz.masked_fill_(~mask, 0.0)
        first = self._filtered(parts[_FIRST].at(rows), 0)
        value = self._filtered(parts[_VALUE].at(rows), 1)
        _part_backward(first.mul_(dz), parts[_VALUE].at(rows), d_parts[_VALUE].at(rows))
        _part_backward(value.mul_(dz), parts[_FIRST].at(rows), d_parts[_FIRST].at(rows))

    def _transform(self, long: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spectra of signals and filters: in one call, because each makes a new plan."""
        padded = self._padded[: len(long)]
        out = None if self._spectra is None else self._spectra[: len(long)]
        if long.is_complex():
            return self.transform.forward(padded, out), long
        padded[:, self.batch, : self.length] = long
        both = self.transform.forward(padded, out)
        return both[:, : self.batch], both[:, self.batch :]

    def _signals(self, padded: Tensor) -> Tensor:
        """View (channel, batch, n) as (batch, channel, length)."""
        return padded[:, : self.batch, : self.length].transpose(0, 1)

    def _filtered(self, part: Part, index: int) -> Tensor:
        """Apply the short filter of a stream; the result lies in the scratch buffer `index`."""
        out = self._scratch[index, :, : part.stream.shape[1]]
        return apply_short(part.stream, part.short, out)

    def _in_cache(self, n_rows: int) -> Iterator[slice]:
        """Divide a chunk into fewer channels that fit a cache, for all steps but the FFT."""
        for start in range(0, n_rows, self._n_in_cache):
            yield slice(start, min(start + self._n_in_cache, n_rows))


def _part_backward(d_out: Tensor, part: Part, d_part: Part) -> None:
    """Write the gradients of a stream and of its short filter to `d_part`."""
    short_backward(d_out, part.stream, part.short, d_stream=d_part.stream, d_short=d_part.short)
