"""The causal long convolution by zero-padded real FFT."""

import torch
from jaxtyping import Float
from torch import Tensor

from megabase.ops.tracing import static_size
from megabase.ops.transform import fft_length


def causal_conv(
    u: Float[Tensor, "batch channel length"],
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
) -> Float[Tensor, "batch channel length"]:
    """Compute `reference.causal_conv`, whose parameters these are, in O(length log length).

    Both signals are zero-padded to `fft_length`, so that the circular convolution of the
    FFT cannot wrap around. The transform runs in float32 or wider, even under autocast:
    CPUs have no half-precision FFT, and half precision loses the tail of long filters.
    """
    length = static_size(u, -1)
    n = fft_length(2 * length - 1)
    wide = torch.promote_types(u.dtype, torch.float32)
    with torch.autocast(u.device.type, enabled=False):
        u_f = torch.fft.rfft(u.to(wide), n=n)
        h_f = torch.fft.rfft(h.to(wide), n=n)
        y = torch.fft.irfft(u_f * h_f, n=n)[..., :length]
        return (y + d.to(wide)[:, None] * u).to(u.dtype)
