"""A model whose number of tokens was changed loads as it was saved, with the same answers."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from megabase.model.load import load, save_published
from tests import toys

TOKENS = toys.tokens(2, 9) % 4 + 7


def resized(n, **options):
    model = toys.model()
    model.resize_token_embeddings(n, mean_resizing=False, **options)
    return model


@pytest.mark.parametrize(
    ("n", "options", "n_logits"),
    [(12, {}, 12), (13, {}, 13), (14, {}, 14), (16, {}, 16), (17, {}, 17), (40, {}, 40),
     (14, {"pad_to_multiple_of": 8}, 16), (17, {"pad_to_multiple_of": 4}, 20)],
)  # fmt: skip
def test_more_or_fewer_rows_load_with_the_same_logits(tmp_path, n, options, n_logits):
    model = resized(n, **options)
    logits = model(TOKENS).logits
    assert logits.shape[-1] == n_logits == model.get_input_embeddings().num_embeddings
    torch.testing.assert_close(logits[..., :12], toys.model()(TOKENS).logits)
    model.save_pretrained(tmp_path)
    for again in (AutoModelForCausalLM.from_pretrained(tmp_path), load(str(tmp_path)).model):
        assert torch.equal(again(TOKENS).logits, logits)
        assert again.config.vocab_size == n_logits


def test_fewer_tokens_than_dna_has_load_as_a_model_but_not_as_one_of_dna(tmp_path):
    resized(10).save_pretrained(tmp_path)
    tokens = TOKENS.clamp(max=9)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again(tokens).logits, resized(10)(tokens).logits)
    with pytest.raises(ValueError, match="vocabulary of 10 tokens; that of DNA has 12"):
        load(str(tmp_path))


def test_tokens_may_be_added_taken_back_and_added_again(tmp_path):
    model = resized(20)
    for n in (12, 14):
        model.resize_token_embeddings(n, mean_resizing=False)
    model.save_pretrained(tmp_path)
    assert torch.equal(load(str(tmp_path)).model(TOKENS).logits, model(TOKENS).logits)


def test_a_published_folder_may_be_resized_and_the_layout_refuses_what_it_cannot_hold(tmp_path):
    save_published(toys.model(), tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    model.resize_token_embeddings(14, mean_resizing=False)
    model.save_pretrained(tmp_path / "ours")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert torch.equal(again(TOKENS).logits, model(TOKENS).logits)
    with pytest.raises(ValueError, match="can only hold n_added_tokens = 0"):
        save_published(model, tmp_path)
