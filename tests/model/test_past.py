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


def test_a_hook_is_not_bypassed():
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


def test_a_loop_of_ones_own_goes_on_from_what_a_call_with_use_cache_gave():
    tokens = toys.tokens(2, 12)
    truth = MODEL(tokens).logits
    output = MODEL(tokens[:, :5], use_cache=True)
    torch.testing.assert_close(output.logits, truth[:, :5], rtol=1e-4, atol=1e-4)
    parts = (tokens[:, 5:6], tokens[:, 6:7], tokens[:, 7:10], tokens[:, 10:])
    answers = [MODEL(part, past_key_values=output.past_key_values).logits for part in parts]
    torch.testing.assert_close(torch.cat(answers, 1), truth[:, 5:], rtol=1e-4, atol=1e-4)


def test_tokens_may_be_taken_back():
    tokens, past = toys.tokens(1, 12), MODEL(toys.tokens(1, 12), use_cache=True).past_key_values
    MODEL(tokens[:, :1], past_key_values=past)
    past.crop(-5)
    past.crop(0)
    assert past.get_seq_length() == 8
    answer = MODEL(tokens[:, 8:9], past_key_values=past).logits
    torch.testing.assert_close(answer, MODEL(tokens[:, :9]).logits[:, -1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("with_tokens", [True, False])
def test_a_prompt_may_be_embedded(use_cache, with_tokens):
    tokens = toys.tokens(2, 9)
    given = {"inputs_embeds": MODEL.get_input_embeddings()(tokens), "use_cache": use_cache}
    options = {"max_new_tokens": 40, "do_sample": False} | given
    answer = MODEL.generate(tokens, **options) if with_tokens else MODEL.generate(**options)
    assert torch.equal(answer[:, -40:], generate(do_sample=False)[:, -40:])


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
