"""The block adds its mixer and its MLP to a residual stream of a wider dtype."""

import torch
from torch import nn

from megabase.model.hyena import Block


class Shift(nn.Module):
    """A mixer that looks one token back."""

    def forward(self, u, mask=None, *, engine="plain"):
        return torch.roll(u, 1, dims=1)


def test_norm_mixer_add_norm_mlp_add():
    block = Block(Shift(), d_model=4, d_inner=8, eps=1e-5)
    r = torch.randn(2, 5, 4)
    mixed = r + torch.roll(block.norm_mixer(r), 1, dims=1)
    inner = block.mlp.fc1(block.norm_mlp(mixed))
    gelu = 0.5 * inner * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (inner + 0.044715 * inner**3)))
    torch.testing.assert_close(block(r), mixed + block.mlp.fc2(gelu))


def test_the_residual_stream_stays_float32_when_weights_are_half():
    block = Block(Shift(), d_model=4, d_inner=8, eps=1e-5).bfloat16()
    assert block(torch.randn(2, 5, 4)).dtype is torch.float32
