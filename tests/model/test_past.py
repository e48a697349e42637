"""`generate()` of transformers gives with the cache what it gives without."""

import pytest
import torch
from transformers import DynamicCache

from megabase.model.cache import Cache
from megabase.model.memory_mixer import log_without_memory
from tests import toys

MODEL = toys.model(max_seq_len=202)
WITH_MEMORY = toys.model(max_seq_len=202, **toys.MEMORY)


def generate(model=MODEL, n_prompt=9, batch=2, **options):
    return model.generate(toys.tokens(batch, n_prompt), max_new_tokens=40, **options)


def remembered(tokens=None, model=WITH_MEMORY, **options):
    """Give 40 tokens after 140 that repeat each other, of a model with a memory."""
    tokens = toys.repeated_tokens(2, 140) if tokens is None else tokens
    return model.generate(tokens, **({"max_new_tokens": 40, "do_sample": False} | options))


def test_greedy_search_with_a_cache_is_that_without():
    cached, plain = (generate(do_sample=False, use_cache=use) for use in (True, False))
    assert cached.shape == (2, 49)
    assert torch.equal(cached, plain)


def test_with_a_memory_too():
    cached, plain = (remembered(use_cache=use) for use in (True, False))
    assert torch.equal(cached, plain)
    embedded = WITH_MEMORY.backbone.embedding(cached)
    without = WITH_MEMORY(inputs_embeds=embedded).logits[:, 139:-1].argmax(-1)
    assert not torch.equal(cached[:, 140:], without)


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


@pytest.mark.parametrize("options", [
    {"num_beams": 3}, {"prompt_lookup_num_tokens": 3}, {"num_return_sequences": 2, "num_beams": 2},
])  # fmt: skip
def test_every_way_to_generate_has_the_memory(options):
    tokens = toys.repeated_tokens(1, 140)
    answer = remembered(tokens, **options)
    assert torch.equal(answer, remembered(tokens, use_cache="prompt" in str(options), **options))
    if "num_beams" not in options:
        assert torch.equal(answer, remembered(tokens))


def test_beams_go_without_a_cache():
    best = generate(do_sample=False, num_beams=3, batch=1)
    assert best.shape == (1, 49)
    assert torch.equal(best, generate(do_sample=False, num_beams=3, batch=1, use_cache=False))


@pytest.mark.parametrize("name", ["blocks.0.mlp", "embedding", "memory.skip"])
def test_a_hook_is_not_bypassed(name):
    model, seen = toys.model(max_seq_len=202, **toys.MEMORY), []
    model.backbone.get_submodule(name).register_forward_hook(lambda *_: seen.append(1))
    assert torch.equal(remembered(model=model), remembered())
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


@pytest.mark.parametrize(("model", "tokens"), [
    (MODEL, toys.tokens(2, 12)), (WITH_MEMORY, toys.repeated_tokens(2, 150)),
])  # fmt: skip
def test_a_loop_of_ones_own_goes_on_from_what_a_call_with_use_cache_gave(model, tokens):
    truth, n = model(tokens).logits, tokens.shape[1] - 7
    output = model(tokens[:, :n], use_cache=True)
    torch.testing.assert_close(output.logits, truth[:, :n], rtol=1e-4, atol=1e-4)
    answers = [
        model(part, past_key_values=output.past_key_values).logits
        for part in tokens[:, n:].split([1, 1, 3, 1, 1], dim=1)
    ]
    torch.testing.assert_close(torch.cat(answers, 1), truth[:, n:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("model", "tokens"), [
    (MODEL, toys.tokens(1, 12)), (WITH_MEMORY, toys.repeated_tokens(1, 150)),
])  # fmt: skip
def test_tokens_may_be_taken_back(model, tokens):
    past, n = model(tokens, use_cache=True).past_key_values, tokens.shape[1]
    model(tokens[:, :1], past_key_values=past)
    past.crop(-5)
    past.crop(0)
    assert past.get_seq_length() == n - 4
    for end in (n - 3, n - 2):
        answer = model(tokens[:, end - 1 : end], past_key_values=past).logits
        truth = model(tokens[:, :end]).logits[:, -1:]
        torch.testing.assert_close(answer, truth, rtol=1e-4, atol=1e-4)


def test_sequences_take_their_memories_with_them():
    tokens = toys.repeated_tokens(3, 150)
    past = WITH_MEMORY(tokens[:, :140], use_cache=True).past_key_values
    order = [0, 1, 2]
    for end, change in ((141, [2, 0, 0]), (142, None), (143, [1, 2]), (144, None)):
        given = tokens[order, end - 1 : end]
        answer = WITH_MEMORY(given, past_key_values=past).logits
        truth = WITH_MEMORY(tokens[order, :end]).logits[:, -1:]
        torch.testing.assert_close(answer, truth, rtol=1e-4, atol=1e-4)
        if change is not None:
            past.reorder_cache(torch.tensor(change))
            order = [order[row] for row in change]
    past.batch_repeat_interleave(2)
    order = [row for row in order for _ in range(2)]
    answer = WITH_MEMORY(tokens[order, 144:145], past_key_values=past).logits
    truth = WITH_MEMORY(tokens[order, :145]).logits[:, -1:]
    torch.testing.assert_close(answer, truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("with_tokens", [True, False])
def test_a_prompt_may_be_embedded(use_cache, with_tokens):
    tokens = toys.tokens(2, 9)
    given = {"inputs_embeds": MODEL.get_input_embeddings()(tokens), "use_cache": use_cache}
    options = {"max_new_tokens": 40, "do_sample": False} | given
    answer = MODEL.generate(tokens, **options) if with_tokens else MODEL.generate(**options)
    assert torch.equal(answer[:, -40:], generate(do_sample=False)[:, -40:])


def test_an_embedded_prompt_is_not_remembered_and_a_log_line_reports_it(caplog):
    caplog.set_level("INFO", logger="megabase")
    log_without_memory.cache_clear()
    embedded = WITH_MEMORY.backbone.embedding(toys.repeated_tokens(2, 140))
    options = {"inputs_embeds": embedded, "max_new_tokens": 40, "do_sample": False}
    cached = WITH_MEMORY.generate(**options)
    assert caplog.text.count("the memory is not used, because embedded tokens") == 1
    assert torch.equal(cached, WITH_MEMORY.generate(**options, use_cache=False))
    assert not torch.equal(cached, remembered()[:, 140:])


def test_features_of_another_memory_are_refused_where_a_cache_would_drop_them():
    tokens = toys.repeated_tokens(1, 140)
    features = WITH_MEMORY.backbone.memory.features(tokens)
    past = WITH_MEMORY(tokens, use_cache=True).past_key_values
    with pytest.raises(ValueError, match=r"not used by the model: .*memory_features"):
        remembered(tokens, memory_features=features)
    with pytest.raises(ValueError, match="leave memory_features or use_cache out"):
        WITH_MEMORY(tokens, memory_features=features, use_cache=True)
    with pytest.raises(ValueError, match=r"cannot be combined with .* memory_features"):
        WITH_MEMORY(tokens[:, :1], memory_features=features[:, :1], past_key_values=past)


@pytest.mark.filterwarnings("ignore:.*generation_config")
@pytest.mark.parametrize("kind", ["a model", "itself", "the prompt"])
def test_assisted_decoding_gives_what_greedy_search_gives(kind):
    assistants = {"a model": toys.model(seed=1, max_seq_len=202), "itself": MODEL}
    assistant = assistants.get(kind)
    given = {"assistant_model": assistant} if assistant else {"prompt_lookup_num_tokens": 3}
    assert torch.equal(generate(batch=1, do_sample=False, **given),
                       generate(batch=1, do_sample=False))  # fmt: skip


def test_generation_stops_after_letters():
    tokens = torch.tensor([[7, 8, 9, 10, 7, 8]])
    options = {"max_new_tokens": 30, "do_sample": False, "suppress_tokens": list(range(7))}
    whole = MODEL.generate(tokens, **options)[0]
    letters = "".join("ACGTN"[token - 7] for token in whole.tolist())
    end = letters[10:14]
    stopped = MODEL.generate(tokens, stop_strings=[end.lower(), "G" * 30], **options)[0]
    assert torch.equal(stopped, whole[: letters.index(end, 3) + 4])
    assert len(stopped) < len(whole)
    with pytest.raises(ValueError, match="letters A, C, G, T and N"):
        MODEL.generate(tokens, max_new_tokens=3, stop_strings="R")


def test_what_a_step_would_leave_out_is_refused():
    for given in ({"output_attentions": True, "return_dict_in_generate": True},
                  {"position_ids": torch.full((2, 9), 3)}):  # fmt: skip
        with pytest.raises(ValueError, match=r"no attention|must count"):
            generate(**given)


def test_hidden_states_are_returned_on_request():
    output = generate(output_hidden_states=True, return_dict_in_generate=True, do_sample=False)
    assert torch.equal(output.sequences, generate(do_sample=False))
    assert output.hidden_states[-1][-1].shape == (2, 48, 8)
