"""The plan of the streamed engine: tiles and spectra that fit a limit of memory."""

from itertools import product
from typing import NamedTuple, Protocol, runtime_checkable

from megabase.errors import InputError
from megabase.ops.fft import fft_length
from megabase.ops.gated_conv import N_STREAMS
from megabase.ops.native_mixer import mixer_bytes, n_points

_GROUPS = (64, 32, 16, 8, 4, 2, 1)  # channels, fastest first; see `_groups`
_OF_A_CHANNEL = 24  # signals of the length of the FFT that a chunk of one channel needs
_FEW = 32 << 20  # numbers of all streams
_SPECTRA_BYTES = 1 << 30  # limit for spectra of filters if the user sets no limit
_CHUNK_BYTES = 160 << 20  # padded signals, spectra, inverse transforms and scratch of a chunk


@runtime_checkable
class LayerSizes(Protocol):
    """What the memory of the streamed engine depends on, of an architecture."""

    n_layer: int
    d_model: int
    vocab_size: int
    filter_order: int


class StreamedPlan(NamedTuple):
    """How a batch is streamed, and the peak memory of its tensors.

    Parameters
    ----------
    group
        Channels whose streams are held at once.
    keep_spectra
        Whether spectra of filters are kept for the next sequence of the same length.
    compiled_mixer
        Whether the mixer in C may be used.
    n_bytes
        Peak memory of tensors other than weights, in bytes.
    """

    group: int
    keep_spectra: bool
    compiled_mixer: bool
    n_bytes: int


def plan_streamed(
    sizes: LayerSizes,
    length: int,
    *,
    batch: int = 1,
    max_bytes: int | None = None,
    itemsize: int = 4,
    n_states: int = 0,
    n_bytes_beside: int = 0,
) -> StreamedPlan:
    """Return the fastest plan that fits the memory limit.

    Parameters
    ----------
    sizes
        Those of the model.
    length
        Tokens of a sequence.
    batch
        Sequences in a batch.
    max_bytes
        The most memory for tensors other than weights; None: no limit, except 1 GiB for spectra
        that are kept.
    itemsize
        Bytes of a number.
    n_states
        Hidden states of earlier layers that are also returned.
    n_bytes_beside
        Bytes of tensors that are held besides, such as the features of a memory.

    Raises
    ------
    InputError
        If no plan fits.
    """
    one_channel = _OF_A_CHANNEL * (batch + 1) * fft_length(2 * length - 1)
    chunk = max(_CHUNK_BYTES, itemsize * one_channel)
    plans = []
    for compiled in (True, False):
        room = max(chunk, mixer_bytes(length)) if compiled else chunk
        for group, keep in product(_groups(sizes, length, batch), (True, False)):
            numbers = _numbers(sizes, length, batch, group)
            numbers += n_states * batch * length * sizes.d_model
            numbers += _spectra(sizes, length) if keep else 0
            n_bytes = itemsize * numbers + room + n_bytes_beside
            plans.append(StreamedPlan(group, keep, compiled, n_bytes))
    if max_bytes is None:
        keep = itemsize * _spectra(sizes, length) <= _SPECTRA_BYTES
        return next(plan for plan in plans if plan.keep_spectra is keep)
    for plan in plans:
        if plan.n_bytes <= max_bytes:
            return plan
    raise InputError(
        f"{batch} x {length:,} tokens need at least {plans[-1].n_bytes / 2**30:.2f} GiB besides "
        f"the weights; the limit is {max_bytes / 2**30:.2f} GiB; raise it or shorten the input"
    )


def _groups(sizes: LayerSizes, length: int, batch: int) -> list[int]:
    """Return the sizes of groups to try: all channels if their streams are small, then fewer."""
    is_small = batch * length * N_STREAMS * sizes.d_model <= _FEW
    whole = [sizes.d_model] if is_small else []
    return [*whole, *(group for group in _GROUPS if group <= sizes.d_model)]


def _numbers(sizes: LayerSizes, length: int, batch: int, group: int) -> int:
    """Return how many numbers are held, without chunks of channels and kept spectra."""
    at_each_token = (
        2 * sizes.d_model  # the residual stream and the mixed channels
        + N_STREAMS * group
        + 2 * sizes.vocab_size  # logits, and values computed from them
        + 4  # scale, mean and token id
    )
    filters = (sizes.filter_order + group) * length
    folded = 2 * 11 * sizes.d_model**2  # folded weights of a layer and of the next one
    return batch * length * at_each_token + filters + folded


def _spectra(sizes: LayerSizes, length: int) -> int:
    of_a_channel = max(fft_length(2 * length - 1), 2 * n_points(length))
    return sizes.n_layer * sizes.d_model * of_a_channel
