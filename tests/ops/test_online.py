"""The long convolution, token by token: every way gives the sum that defines it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.ops import definition
from megabase.ops.online import BLOCK, DirectSums, TiledSums

WAYS = (DirectSums, TiledSums)


def signal(length, *, batch=2, filters=2, channels=3, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    u = torch.randn(filters, batch, channels, length, generator=g, dtype=dtype)
    return u, torch.randn(filters, channels, length, generator=g, dtype=dtype)


def exact(u, h):
    nothing = h.new_zeros(h.shape[1])
    return torch.stack([definition.causal_conv(*pair, nothing) for pair in zip(u, h, strict=True)])


def online(way, u, h, n_prompt=0):
    """Go through all tokens but the first `n_prompt` one by one, and give their sums."""
    heard = u.clone()
    heard[..., n_prompt:] = 0.0
    future = exact(heard, h)[..., n_prompt:].transpose(1, 2).contiguous()
    sums = way(h[..., : u.shape[-1] - n_prompt], future)
    ys = []
    for token in u[..., n_prompt:].unbind(-1):
        ys.append(sums.past + h[:, None, :, 0] * token)
        sums.push(token)
    return torch.stack(ys, dim=-1)


@pytest.mark.parametrize("way", WAYS)
def test_by_hand(way):
    u = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    h = torch.tensor([[[10.0, 1.0, 0.5]]])
    torch.testing.assert_close(online(way, u, h), torch.tensor([[[[10.0, 21.0, 32.5]]]]))


@settings(deadline=None, max_examples=25)
@given(
    length=st.integers(1, 6 * BLOCK),
    prompt=st.floats(0, 0.99),
    batch=st.integers(1, 3),
    seed=st.integers(0, 9),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@pytest.mark.parametrize("way", WAYS)
def test_equals_the_defining_sum(way, length, prompt, batch, seed, dtype):
    """Check Eq. online-tiles at any length, after a prompt of any length."""
    u, h = signal(length, batch=batch, seed=seed)
    n_prompt = int(prompt * length)
    y = online(way, u.to(dtype), h.to(dtype), n_prompt).double()
    tolerance = 1e-10 if dtype is torch.float64 else 1e-4
    torch.testing.assert_close(y, exact(u, h)[..., n_prompt:], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("length", [64 * BLOCK, 64 * BLOCK + 1, 47 * BLOCK + 5])
def test_long_tiles_agree_with_direct_sums(length):
    u, h = signal(length, batch=1, channels=2)
    torch.testing.assert_close(online(TiledSums, u, h), exact(u, h))


def test_tiles_in_chunks_are_the_same_tiles(monkeypatch):
    u, h = signal(5 * BLOCK)
    whole = online(TiledSums, u, h)
    monkeypatch.setattr("megabase.ops.online._CHUNK_BYTES", 1)
    torch.testing.assert_close(online(TiledSums, u, h), whole)


@pytest.mark.parametrize("length", [1, BLOCK, 4 * BLOCK, 5 * BLOCK + 3])
@pytest.mark.parametrize("way", WAYS)
def test_no_tap_is_read_beyond_the_last_token(way, length):
    u, h = signal(length)
    longer = torch.cat([h, torch.full_like(h, torch.nan)], dim=-1)
    sums = way(longer, torch.zeros(2, 3, 2, length, dtype=h.dtype))
    for token in u.unbind(-1):
        assert sums.past.isfinite().all()
        sums.push(token)


@pytest.mark.parametrize("way", WAYS)
def test_a_token_too_many_is_an_error(way):
    u, h = signal(2)
    sums = way(h, torch.zeros(2, 3, 2, 2, dtype=h.dtype))
    sums.push(u[..., 0])
    sums.push(u[..., 1])
    with pytest.raises(ValueError, match="room for 2 tokens, and one more was given"):
        sums.push(u[..., 0])
