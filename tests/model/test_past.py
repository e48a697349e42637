"""`generate()` of transformers gives with the cache what it gives without."""

import pytest
import torch
from transformers import DynamicCache

from megabase.model.cache import Cache
from tests import toys

MODEL = toys.model(max_seq_len=202)


def generate(model=MODEL, n_prompt=9, batch=2, **options):
    return model.generate(toys.tokens(batch, n_prompt), max_new_tokens=40, **options)


def test_greedy_search_with_a_cache_is_that_without():
    cached, plain = (generate(do_sample=False, use_cache=use) for use in (True, False))
    assert cached.shape == (2, 49)
    assert torch.equal(cached, plain)


def test_a_sample_with_a_cache_is_that_without():
    answers = []
    for use in (True, False):
        torch.manual_seed(0)
        answers.append(generate(do_sample=True, use_cache=use, num_return_sequences=2))
    assert torch.equal(*answers)


def test_prompts_that_are_padded_on_the_left():
    tokens, mask = toys.tokens(2, 20), torch.ones(2, 20, dtype=torch.long)
    mask[1, :13] = 0
    together = MODEL.generate(tokens, attention_mask=mask, max_new_tokens=30, do_sample=False)
    alone = MODEL.generate(tokens[1:, 13:], max_new_tokens=30, do_sample=False)
    assert torch.equal(together[1, 20:], alone[0, 7:])


def test_the_cache_is_used_and_each_token_passes_once(monkeypatch):
    steps, original = [], Cache.step
    monkeypatch.setattr(Cache, "step", lambda self, t: steps.append(t) or original(self, t))
    generate(do_sample=False)
    assert len(steps) == 39
    generate(do_sample=False, use_cache=False)
    assert len(steps) == 39


def test_beams_go_without_a_cache():
    best = generate(do_sample=False, num_beams=3, batch=1)
    assert best.shape == (1, 49)
    assert torch.equal(best, generate(do_sample=False, num_beams=3, batch=1, use_cache=False))


def test_a_hook_is_not_passed_over():
    model, seen = toys.model(max_seq_len=202), []
    model.backbone.blocks[0].mlp.register_forward_hook(lambda *_: seen.append(1))
    assert torch.equal(generate(model, do_sample=False), generate(do_sample=False))
    assert len(seen) == 40


def test_more_than_the_model_has_positions_for_is_an_error():
    with pytest.raises(ValueError, match="exceed this model's 202 positions"):
        MODEL.generate(toys.tokens(1, 9), max_new_tokens=200, do_sample=False)


def test_a_cache_of_another_kind_is_an_error():
    with pytest.raises(ValueError, match="leave past_key_values out"):
        generate(past_key_values=DynamicCache())


def test_a_saved_model_generates(tmp_path):
    MODEL.save_pretrained(tmp_path)
    loaded = type(MODEL).from_pretrained(tmp_path).eval()
    assert torch.equal(generate(loaded, do_sample=False), generate(do_sample=False))
