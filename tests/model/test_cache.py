"""What a cache answers token by token is what the model answers to the whole sequence."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.model.cache import Cache
from megabase.ops.online import BLOCK, DirectSums, TiledSums
from tests import toys

MODEL = toys.model(max_seq_len=302).double()


def cached(tokens, n_prompt, mask=None, model=MODEL, **options):
    """Give the logits after the prompt, and after each token that follows it."""
    cache = Cache(model.backbone, tokens.shape[1] - n_prompt, **options)
    logits = [cache.absorb(tokens[:, :n_prompt], mask)]
    logits += [cache.step(token) for token in tokens[:, n_prompt:].unbind(1)]
    return torch.stack(logits, dim=1)


def whole(tokens, n_prompt, mask=None, model=MODEL):
    with torch.no_grad():
        return model(tokens, attention_mask=mask).logits[:, n_prompt - 1 :]


@settings(deadline=None, max_examples=30)
@given(
    length=st.integers(1, 4 * BLOCK),
    prompt=st.floats(0, 1),
    batch=st.integers(1, 3),
    make_sums=st.sampled_from([TiledSums, DirectSums]),
)
def test_cached_logits_equal_uncached_ones_at_every_position(length, prompt, batch, make_sums):
    tokens = toys.tokens(batch, length, seed=length)
    n_prompt = max(1, int(prompt * length))
    ours = cached(tokens, n_prompt, make_sums=make_sums)
    torch.testing.assert_close(ours, whole(tokens, n_prompt), rtol=1e-8, atol=1e-8)


def test_in_float32_too():
    model, tokens = toys.model(max_seq_len=302), toys.tokens(2, 300)
    torch.testing.assert_close(
        cached(tokens, 1, model=model), whole(tokens, 1, model=model), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("keys", [{"short_filter_order": 1}, {"short_filter_order": 5},
                                  {"d_model": 36, "n_layer": 1}, toys.SCALE_FREE])  # fmt: skip
def test_other_shapes(keys):
    model, tokens = toys.model(**keys).double(), toys.tokens(2, 60)
    for n_prompt in (1, 3, 59):
        torch.testing.assert_close(
            cached(tokens, n_prompt, model=model), whole(tokens, n_prompt, model=model)
        )


def test_prompts_of_unequal_length_are_padded_on_the_left():
    tokens, mask = toys.tokens(2, 100), torch.ones(2, 20, dtype=torch.bool)
    mask[1, :13] = False
    together = cached(tokens, 20, mask)
    torch.testing.assert_close(together[:1], whole(tokens[:1], 20))
    torch.testing.assert_close(together[1:], whole(tokens[1:, 13:], 7))


def test_the_answer_depends_on_what_went_before():
    tokens = toys.tokens(1, 200)
    other = tokens.clone()
    other[:, 0] = 7 if tokens[0, 0] != 7 else 8
    assert not torch.allclose(cached(tokens, 10)[:, -1], cached(other, 10)[:, -1], rtol=1e-6)


def test_more_than_the_model_has_positions_for_is_an_error():
    cache = Cache(MODEL.backbone, 300)
    with pytest.raises(ValueError, match="3 tokens and 300 more exceed this model's 302 positions"):
        cache.absorb(toys.tokens(1, 3))


def test_a_model_of_another_order_is_an_error():
    with pytest.raises(ValueError, match="unmodified model of order 2, but its operators"):
        Cache(toys.model(hyena_order=3).backbone, 5)


def test_a_model_with_a_hook_is_an_error():
    model = toys.model()
    model.backbone.blocks[0].mlp.fc1.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"blocks.0.mlp.fc1 is modified"):
        Cache(model.backbone, 5)
