"""Windows score each base once, and see as much before it as is promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.errors import InputError
from megabase.inference.windows import windows


@given(length=st.integers(1, 200), context=st.integers(1, 50), data=st.data())
def test_each_base_is_scored_once_with_the_promised_context(length, context, data):
    stride = data.draw(st.integers(1, context))
    scored = []
    for window in windows(length, context, stride):
        assert 0 <= window.start <= window.first < window.end <= length
        assert window.end - window.start == min(context, length)
        for position in range(window.first, window.end):
            assert position - window.start >= min(position, context - stride)
            scored.append(position)
    assert scored == list(range(length))


@pytest.mark.parametrize("stride", [0, 9])
def test_a_stride_that_leaves_gaps_is_an_error(stride):
    with pytest.raises(InputError, match=r"from 1 to the context of 8 tokens, got"):
        windows(20, 8, stride)
