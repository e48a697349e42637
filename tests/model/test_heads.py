"""A head sees real tokens only, answers in the units of its targets, and trains on each loss."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoModelForSequenceClassification

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import POOLED
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.heads import pool
from megabase.model.load import load, load_classifier, save
from tests import toys

PAD = DNA_VOCABULARY.id_of("[PAD]")


def classifier(**keys):
    torch.manual_seed(0)
    toy = HyenaDNAForSequenceClassification(toys.config(**keys)).eval()
    with torch.no_grad():
        for parameter in toy.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return toy


CLASSIFIERS = {pooling: classifier(num_labels=3, pooling=pooling) for pooling in POOLED}


def test_each_pooling_follows_its_definition():
    hidden = torch.tensor([[[1.0], [5.0], [2.0], [4.0], [99.0]]])
    mask = torch.tensor([[True, True, True, True, False]])
    pooled = {each: float(pool(hidden, mask, each)) for each in POOLED}
    assert pooled == {"mean": 3.0, "last": 4.0, "max": 5.0, "centre": 2.0}
    flipped = {each: float(pool(hidden.flip(1), mask.flip(1), each)) for each in POOLED}
    assert flipped == {"mean": 3.0, "last": 1.0, "max": 5.0, "centre": 5.0}


@given(
    pooling=st.sampled_from(POOLED), length=st.integers(1, 30), before=st.integers(0, 9),
    after=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_padding_on_either_side_changes_nothing(pooling, length, before, after):
    tokens = toys.tokens(1, length, seed=length)
    padded = functional.pad(tokens, (before, after), value=PAD)
    mask = functional.pad(torch.ones_like(tokens), (before, after))
    model = CLASSIFIERS[pooling]
    with torch.no_grad():
        alone, beside = model(tokens).logits, model(padded, attention_mask=mask).logits
    torch.testing.assert_close(beside, alone, rtol=1e-4, atol=1e-4)


def test_a_sequence_that_is_all_padding_is_refused():
    tokens = toys.tokens(2, 5)
    mask = torch.tensor([[1] * 5, [0] * 5])
    with pytest.raises(InputError, match="all padding"):
        CLASSIFIERS["mean"](tokens, attention_mask=mask)


def test_the_loss_is_that_of_the_problem():
    tokens, logits = toys.tokens(4, 9), CLASSIFIERS["mean"](toys.tokens(4, 9)).logits
    classes = torch.tensor([0, 1, 2, 0])
    found = CLASSIFIERS["mean"](tokens, labels=classes).loss
    torch.testing.assert_close(found, functional.cross_entropy(logits, classes))
    several = torch.tensor([[1.0, 0, 1]] * 4)
    found = CLASSIFIERS["mean"](tokens, labels=several).loss
    torch.testing.assert_close(found, functional.binary_cross_entropy_with_logits(logits, several))


def test_a_regression_answers_in_the_unit_of_its_targets_and_learns_in_standard_ones():
    units = {"target_mean": [1000.0], "target_scale": [50.0]}
    plain, scaled = classifier(num_labels=1), classifier(num_labels=1, **units)
    tokens = toys.tokens(3, 9)
    torch.testing.assert_close(scaled(tokens).logits, 1000 + 50 * plain(tokens).logits)
    targets = torch.tensor([950.0, 1000.0, 1050.0])
    found = scaled(tokens, labels=targets).loss
    torch.testing.assert_close(found, plain(tokens, labels=(targets - 1000) / 50).loss)


@pytest.mark.parametrize(
    "keys", [{"num_labels": 3}, {"num_labels": 1, "target_mean": [5.0], "target_scale": [1e-3]}]
)
def test_answers_before_saving_equal_answers_after_loading_bit_for_bit(tmp_path, keys):
    model, tokens = classifier(pooling="max", **keys), toys.tokens(4, 20)
    save(model, tmp_path)
    for loaded in (
        load_classifier(str(tmp_path)),
        AutoModelForSequenceClassification.from_pretrained(tmp_path),
    ):
        assert loaded.config.pooling == "max"
        assert torch.equal(loaded(tokens).logits, model(tokens).logits)


def test_a_folder_is_loaded_as_what_it_is(tmp_path):
    save(classifier(num_labels=2), tmp_path / "head")
    save(toys.model(), tmp_path / "language")
    with pytest.raises(InputError, match="without a head"):
        load_classifier(str(tmp_path / "language"))
    with pytest.raises(InputError, match="is a fine-tuned model"):
        load(str(tmp_path / "head"))


def test_a_changed_classifier_is_not_loaded(tmp_path):
    model = classifier(num_labels=2)
    save(model, tmp_path)
    kept = (tmp_path / "fingerprint.json").read_bytes()
    with torch.no_grad():
        model.head.linear.bias.add_(0.5)
    save(model, tmp_path)
    (tmp_path / "fingerprint.json").write_bytes(kept)
    with pytest.raises(InputError, match="weights or configuration have changed"):
        load_classifier(str(tmp_path))


def test_a_head_that_does_not_fit_is_refused(tmp_path):
    save(classifier(num_labels=2), tmp_path)
    with pytest.raises(InputError, match=r"head.linear.bias has shape \(2,\)"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=4)


def test_a_language_model_gets_a_new_head(tmp_path):
    language = toys.model()
    save(language, tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=5)
    assert model(toys.tokens(2, 9)).logits.shape == (2, 5)
    assert torch.equal(model.backbone.embedding.weight, language.backbone.embedding.weight)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pooling": "median"}, "pooling must be one of"),
        ({"target_mean": [1.0], "num_labels": 1}, "target_scale must be a list of 1 numbers"),
        ({"target_mean": [1.0], "target_scale": [0.0], "num_labels": 1}, "above 0"),
    ],
)
def test_an_invalid_head_is_refused(keys, message):
    with pytest.raises(InputError, match=message):
        toys.config(**keys)


def test_the_head_starts_small_and_takes_gradients():
    model = HyenaDNAForSequenceClassification(toys.config(num_labels=2, d_model=64))
    assert float(model.head.linear.weight.detach().std()) == pytest.approx(0.02, rel=0.3)
    loss = model(toys.tokens(2, 9), labels=torch.tensor([0, 1])).loss
    assert float(loss.detach()) == pytest.approx(math.log(2), abs=0.2)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
