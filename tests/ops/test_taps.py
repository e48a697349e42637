"""The skip weight of a convolution is a change of the first tap of its filter."""

import torch

from megabase.ops.taps import add_skip, with_skip


def test_the_skip_weight_is_part_of_the_first_tap():
    h, d = torch.randn(3, 6), torch.randn(3)
    taps = with_skip(h, d)
    torch.testing.assert_close(taps[:, 0], h[:, 0] + d)
    assert torch.equal(taps[:, 1:], h[:, 1:])
    assert add_skip(h, d) is h
    assert torch.equal(h, taps)
