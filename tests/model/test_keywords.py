"""Keywords that transformers and peft pass change nothing, or are refused by name."""

import pytest
import torch
from transformers import Trainer

from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
)
from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAModel
from megabase.model.prompted import HyenaDNAForPromptedClassification
from tests import toys

TOKENS = toys.tokens(2, 9) % 4 + 7
MASK = torch.tensor([[1] * 9, [0] * 3 + [1] * 6])
COUNTED = (MASK.cumsum(-1) - 1).masked_fill(MASK == 0, 1)


def models():
    keys = {"num_labels": 2}
    prompt = {"n_prompt_tokens": 2, "answer_letters": "AC"}
    yield toys.model()
    yield HyenaDNAModel(toys.config()).eval()
    yield HyenaDNAForSequenceClassification(toys.config(**keys)).eval()
    yield HyenaDNAForTokenClassification(toys.config(**keys)).eval()
    yield HyenaDNAForPromptedClassification(toys.config(**keys, **prompt)).eval()


MODELS = list(models())


def answer(model, **keywords):
    return model(TOKENS, **keywords)[0]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    "keywords",
    [
        {"use_cache": False}, {"use_cache": True}, {"output_attentions": False},
        {"position_ids": torch.arange(9)[None]}, {"position_ids": torch.arange(9).expand(2, 9)},
        {"cache_position": torch.arange(9)}, {"token_type_ids": torch.zeros_like(TOKENS)},
        {"logits_to_keep": None} , {"num_items_in_batch": None}, {"past_key_values": None},
        {"return_dict": True}, {"output_hidden_states": False}, {"head_mask": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_keyword_that_changes_nothing_is_accepted(model, keywords):
    torch.testing.assert_close(answer(model, **keywords), answer(model))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"output_attentions": True}, "this model has no attention"),
        ({"position_ids": torch.arange(9)[None] + 1}, "must count the tokens from 0 to 8"),
        ({"position_ids": torch.arange(9).flip(0)[None]}, "must count the tokens from 0 to 8"),
        ({"position_ids": torch.arange(8)[None]}, "must count the tokens from 0 to 8"),
        ({"cache_position": torch.arange(1, 10)}, "must count the tokens from 0 to 8"),
        ({"token_type_ids": torch.ones_like(TOKENS)}, "must be all 0"),
        ({"cu_seq_lens_q": torch.tensor([0, 4, 9])}, "pad them instead"),
        ({"attention_mask": torch.ones(2, 1, 9, 9)}, r"attention_mask must be \(batch, 9\)"),
        ({"past_key_values": ()}, "prefix tuning"),
    ],
    ids=str,
)
def test_a_keyword_that_would_change_the_answer_is_refused(model, keywords, message):
    with pytest.raises(ValueError, match=message):
        model(TOKENS, **keywords)


def test_an_unknown_keyword_is_a_type_error_as_ever():
    with pytest.raises(TypeError, match="unexpected keyword argument 'inputs'"):
        MODELS[0](TOKENS, inputs=TOKENS)


def test_positions_may_be_counted_from_the_first_real_token():
    padded = answer(MODELS[0], attention_mask=MASK)
    for positions in (COUNTED, torch.arange(9)[None]):
        given = answer(MODELS[0], attention_mask=MASK, position_ids=positions)
        assert torch.equal(given, padded)
    with pytest.raises(ValueError, match="must count"):
        answer(MODELS[0], position_ids=COUNTED)


def test_logits_may_be_kept_at_some_places():
    places = torch.tensor([1, 5, 5])
    kept = MODELS[0](TOKENS, logits_to_keep=places).logits
    torch.testing.assert_close(kept, MODELS[0](TOKENS).logits[:, places])
    with pytest.raises(ValueError, match="leave it out here"):
        MODELS[2](TOKENS, logits_to_keep=2)


@pytest.mark.parametrize(
    ("kind", "is_divided"),
    [(HyenaDNAForCausalLM, True), (HyenaDNAForSequenceClassification, False)],
)
def test_the_trainer_knows_who_divides_by_the_items_of_a_batch(kind, is_divided):
    assert Trainer(model=kind(toys.config())).model_accepts_loss_kwargs is is_divided
