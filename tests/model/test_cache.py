"""What a cache answers token by token is what the model answers to the whole sequence."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.model.cache import Cache
from megabase.ops import backends
from megabase.ops.online import BLOCK, DirectSums, TiledSums
from tests import toys

MODEL = toys.model(max_seq_len=302).double()
WITH_MEMORY = toys.model(max_seq_len=302, **toys.MEMORY).double()


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


@pytest.mark.parametrize("n_prompt", [1, 59, 150, 199])
def test_with_a_memory_too(n_prompt):
    """Check Eq. memory-decoding, against Eq. memory-mixer."""
    tokens = toys.repeated_tokens(2, 200)
    truth = whole(tokens, n_prompt, model=WITH_MEMORY)
    ours = cached(tokens, n_prompt, model=WITH_MEMORY)
    torch.testing.assert_close(ours, truth, rtol=1e-8, atol=1e-8)


def test_with_a_memory_in_python_too(monkeypatch):
    monkeypatch.setattr(backends, "_native_memory", lambda: None)
    test_with_a_memory_too(150)


def test_the_logits_depend_on_the_memory():
    tokens = toys.repeated_tokens(1, 200)
    without = WITH_MEMORY(inputs_embeds=WITH_MEMORY.backbone.embedding(tokens)).logits[:, 149:]
    assert (cached(tokens, 150, model=WITH_MEMORY) - without).abs().amin(dim=1).max() > 1e-3


def test_each_sequence_has_a_memory_of_its_own():
    tokens = toys.repeated_tokens(3, 200)
    together = cached(tokens, 130, model=WITH_MEMORY)
    for row, ours in zip(tokens, together, strict=True):
        torch.testing.assert_close(cached(row[None], 130, model=WITH_MEMORY)[0], ours)


def test_padding_on_the_left_is_not_remembered():
    tokens, mask = toys.repeated_tokens(2, 200), torch.ones(2, 150, dtype=torch.bool)
    mask[1, :13] = False
    together = cached(tokens, 150, mask, model=WITH_MEMORY)
    torch.testing.assert_close(together[:1], whole(tokens[:1], 150, model=WITH_MEMORY))
    torch.testing.assert_close(together[1:], whole(tokens[1:, 13:], 137, model=WITH_MEMORY))


def test_embedded_prompts_have_no_memory_nor_have_tokens_after_them():
    tokens, embedding = toys.repeated_tokens(2, 200), WITH_MEMORY.backbone.embedding
    cache = Cache(WITH_MEMORY.backbone, 50)
    logits = [cache.absorb_embedded(embedding(tokens[:, :150]))]
    logits += [cache.step(token) for token in tokens[:, 150:].unbind(1)]
    with torch.no_grad():
        truth = WITH_MEMORY(inputs_embeds=embedding(tokens)).logits[:, 149:]
    torch.testing.assert_close(torch.stack(logits, dim=1), truth)


def test_a_cache_may_absorb_again():
    cache, tokens = Cache(WITH_MEMORY.backbone, 50), toys.repeated_tokens(2, 150)
    first = cache.absorb(tokens)
    cache.step(tokens[:, 0])
    torch.testing.assert_close(cache.absorb(tokens), first, rtol=0, atol=0)


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


@pytest.mark.parametrize("name", ["blocks.0.mlp.fc1", "embedding", "memory.inner", "memory"])
def test_a_model_with_a_hook_is_an_error(name):
    model = toys.model(**toys.MEMORY)
    model.backbone.get_submodule(name).register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=f"{name} is modified"):
        Cache(model.backbone, 5)
