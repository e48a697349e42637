"""A head on each token: its loss, its units, its folder, and what padding changes: nothing."""

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
)
from megabase.model.load import load, load_classifier, save
from tests import toys

PAD = DNA_VOCABULARY.id_of("[PAD]")
UNITS = {"num_labels": 1, "target_mean": [1000.0], "target_scale": [50.0]}


def tagger(**keys):
    torch.manual_seed(0)
    toy = HyenaDNAForTokenClassification(toys.config(**({"num_labels": 3} | keys))).eval()
    with torch.no_grad():
        for parameter in toy.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return toy


def test_each_token_has_an_answer_that_padding_leaves_alone():
    model, tokens = tagger(), toys.tokens(1, 12)
    for before, after in ((0, 5), (4, 0)):
        padded = functional.pad(tokens, (before, after), value=PAD)
        mask = functional.pad(torch.ones_like(tokens), (before, after))
        found = model(padded, attention_mask=mask).logits[:, before : before + 12]
        torch.testing.assert_close(found, model(tokens).logits, rtol=1e-4, atol=1e-4)
    assert found.shape == (1, 12, 3)


def test_the_right_of_a_base_is_not_seen():
    model, tokens = tagger(), toys.tokens(1, 12)
    changed = tokens.clone()
    changed[0, 7] = 7 if tokens[0, 7] != 7 else 8
    before, after = model(tokens).logits, model(changed).logits
    torch.testing.assert_close(after[:, :7], before[:, :7])
    assert not torch.allclose(after[:, 7], before[:, 7])


def test_the_loss_is_the_mean_of_rows_over_the_tokens_that_count():
    model, tokens = tagger(), toys.tokens(3, 5)
    labels = torch.tensor([[0, 1, 2, -100, -100], [1, -100, -100, -100, -100], [-100] * 5])
    logits = model(tokens).logits
    of_rows = [
        functional.cross_entropy(logits[0, :3], labels[0, :3]),
        functional.cross_entropy(logits[1, :1], labels[1, :1]),
    ]
    torch.testing.assert_close(model(tokens, labels=labels).loss, torch.stack(of_rows).mean())
    nothing = model(tokens, labels=torch.full((3, 5), -100)).loss
    assert float(nothing.detach()) == 0.0


def test_values_are_answered_in_their_unit_and_learnt_in_standard_ones():
    plain, scaled, tokens = tagger(num_labels=1), tagger(**UNITS), toys.tokens(2, 5)
    torch.testing.assert_close(scaled(tokens).logits, 1000 + 50 * plain(tokens).logits)
    values = torch.tensor([[950.0, 1000, 1050, torch.nan, 1000], [torch.nan] * 5])
    found = scaled(tokens, labels=values).loss
    z = plain(tokens).logits[0, [0, 1, 2, 4], 0]
    expected = (z - torch.tensor([-1.0, 0, 1, 0])).square().mean()
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(torch.isfinite(each.grad).all() for each in scaled.parameters())


@pytest.mark.parametrize("keys", [{}, UNITS])
def test_answers_before_saving_equal_answers_after_loading_bit_for_bit(tmp_path, keys):
    model, tokens = tagger(**keys), toys.tokens(4, 20)
    save(model, tmp_path)
    for loaded in (
        load_classifier(str(tmp_path)),
        AutoModelForTokenClassification.from_pretrained(tmp_path),
    ):
        assert isinstance(loaded, HyenaDNAForTokenClassification)
        assert torch.equal(loaded(tokens).logits, model(tokens).logits)


def test_a_folder_is_loaded_as_what_it_is(tmp_path):
    save(tagger(), tmp_path / "bases")
    save(HyenaDNAForSequenceClassification(toys.config(num_labels=3)), tmp_path / "sequences")
    assert isinstance(
        load_classifier(str(tmp_path / "sequences")), HyenaDNAForSequenceClassification
    )
    with pytest.raises(InputError, match="cannot be loaded as a HyenaDNAForSequenceClass"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "bases")
    with pytest.raises(InputError, match="cannot be loaded as a HyenaDNAForTokenClass"):
        AutoModelForTokenClassification.from_pretrained(tmp_path / "sequences")
    with pytest.raises(InputError, match="is a fine-tuned model"):
        load(str(tmp_path / "bases"))


def test_a_language_model_gets_a_new_head_and_a_changed_one_is_not_loaded(tmp_path):
    save(toys.model(), tmp_path)
    model = AutoModelForTokenClassification.from_pretrained(tmp_path, num_labels=5)
    assert model(toys.tokens(2, 9)).logits.shape == (2, 9, 5)
    save(model, tmp_path)
    kept = (tmp_path / "fingerprint.json").read_bytes()
    with torch.no_grad():
        model.head.linear.bias.add_(0.5)
    save(model, tmp_path)
    (tmp_path / "fingerprint.json").write_bytes(kept)
    with pytest.raises(InputError, match="weights or configuration have changed"):
        load_classifier(str(tmp_path))
