"""A prompted model answers with the next letter of the language model, padded or not."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.load import base_sha256, load, load_classifier, save
from megabase.model.prompted import HyenaDNAForPromptedClassification
from megabase.model.reading import weights_sha256
from tests import toys

PAD, SEP = DNA_VOCABULARY.id_of("[PAD]"), DNA_VOCABULARY.id_of("[SEP]")
LANGUAGE = toys.model()


def prompted(n=4, letters="AGN", language=LANGUAGE, **keys):
    labels = {"num_labels": len(letters), "problem_type": "single_label_classification"}
    prompt = {"n_prompt_tokens": n, "answer_letters": letters}
    torch.manual_seed(1)
    made = HyenaDNAForPromptedClassification.from_language_model(
        language, toys.config(**(labels | prompt | keys))
    )
    made.config.base_sha256 = weights_sha256(language)
    return made.eval()


MODEL = prompted()
REMEMBERING = toys.model(**toys.MEMORY)
PROMPTED = prompted(language=REMEMBERING, **toys.MEMORY)


def test_the_answer_is_the_next_letter_after_prompt_sequence_and_sep():
    """Eq. soft-prompt, by the language model itself."""
    tokens = toys.tokens(3, 20)
    embedded = LANGUAGE.backbone.embedding(functional.pad(tokens, (0, 1), value=SEP))
    with torch.no_grad():
        before = MODEL.prompt.vectors.expand(3, -1, -1)
        output = LANGUAGE(inputs_embeds=torch.cat([before, embedded], dim=1))
        letters = [DNA_VOCABULARY.id_of(letter) for letter in "AGN"]
        torch.testing.assert_close(MODEL(tokens).logits, output.logits[:, -1, letters])


def test_the_memory_reads_the_sequence_and_neither_prompt_nor_sep():
    rows = [DNA_VOCABULARY.encode(toys.repeats(30, seed)).tokens.tolist() for seed in range(2)]
    tokens = torch.tensor(rows)
    memory = REMEMBERING.backbone.memory
    embedded = REMEMBERING.backbone.embedding(functional.pad(tokens, (0, 1), value=SEP))
    letters = [DNA_VOCABULARY.id_of(letter) for letter in "AGN"]
    with torch.no_grad():
        before = PROMPTED.prompt.vectors.expand(2, -1, -1)
        known = functional.pad(memory.features(tokens), (0, 0, 4, 1))
        inputs = torch.cat([before, embedded], dim=1)
        output = REMEMBERING(inputs_embeds=inputs, memory_features=known)
        found = PROMPTED(tokens).logits
        torch.testing.assert_close(found, output.logits[:, -1, letters])
        given = PROMPTED(tokens, memory_features=memory.features(tokens)).logits
        torch.testing.assert_close(given, found)
        assert not torch.allclose(REMEMBERING(inputs_embeds=inputs).logits, output.logits)


def test_given_features_of_padding_do_not_matter():
    tokens, mask = toys.tokens(2, 12), torch.ones(2, 12)
    mask[0, :5] = 0
    features = PROMPTED.backbone.memory.features(tokens, mask.bool())
    other = features.clone()
    other[0, :5] = 7.0
    with torch.no_grad():
        found = [
            PROMPTED(tokens, attention_mask=mask, memory_features=each).logits
            for each in (features, other)
        ]
    assert torch.equal(*found)


@pytest.mark.parametrize("has_memory", [False, True])
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4), on_left=st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_padded_batch_answers_as_one_by_one(has_memory, lengths, on_left):
    model = PROMPTED if has_memory else MODEL
    rows = [toys.tokens(1, length, seed=length) for length in lengths]
    spare = [max(lengths) - length for length in lengths]
    sides = [(n, 0) if on_left else (0, n) for n in spare]
    padded = torch.cat(
        [functional.pad(row, side, value=PAD) for row, side in zip(rows, sides, strict=True)]
    )
    mask = torch.cat(
        [functional.pad(torch.ones(1, n), s) for n, s in zip(lengths, sides, strict=True)]
    )
    with torch.no_grad():
        alone = torch.cat([model(row).logits for row in rows])
        together = model(padded, attention_mask=mask).logits
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_masked_tokens_do_not_matter():
    tokens, mask = toys.tokens(2, 12), torch.ones(2, 12)
    mask[0, 7:] = 0
    other = tokens.clone()
    other[0, 7:] = PAD
    with torch.no_grad():
        found = [MODEL(each, attention_mask=mask).logits for each in (tokens, other)]
        unmasked = MODEL(tokens).logits
    assert torch.equal(*found)
    assert not torch.allclose(unmasked[0], found[0][0])


def test_the_prompt_starts_small_matters_and_is_dropped_out_in_training():
    model = prompted(40, prompt_dropout=0.5)
    assert float(model.prompt.vectors.detach().std()) == pytest.approx(0.02, rel=0.2)
    tokens = toys.tokens(1, 9)
    dropped = model.prompt.train()(torch.zeros(1, 3, 8))[0, :40] == 0
    assert 0.3 < float(dropped.float().mean()) < 0.7
    with torch.no_grad():
        before = model.eval()(tokens).logits
        model.prompt.vectors.mul_(50)
        assert not torch.allclose(before, model(tokens).logits)


def test_hidden_states_and_loss_are_given():
    tokens, labels = toys.tokens(2, 9), torch.tensor([0, 2])
    output = MODEL(tokens, labels=labels, output_hidden_states=True)
    assert [tuple(each.shape) for each in output.hidden_states] == [(2, 14, 8)] * 3
    torch.testing.assert_close(output.loss, functional.cross_entropy(output.logits, labels))


def test_a_folder_comes_back_bit_for_bit_by_the_one_door(tmp_path):
    save(MODEL, tmp_path)
    found = load_classifier(str(tmp_path))
    again = HyenaDNAForPromptedClassification.from_pretrained(tmp_path)
    tokens = toys.tokens(2, 30)
    with torch.no_grad():
        for other in (found, again):
            assert type(other) is HyenaDNAForPromptedClassification
            assert torch.equal(other(tokens).logits, MODEL(tokens).logits)
    assert base_sha256(found) == weights_sha256(LANGUAGE) != weights_sha256(found)
    with pytest.raises(InputError, match="with a prompt, which predicts labels"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_prompt_tokens": 5}, "prompt.vectors has shape"),
        ({"base_sha256": "0" * 64}, "not those its prompt was trained on"),
        ({"answer_letters": "ACN"}, "it had"),
        ({"answer_letters": "AN"}, "3 different letters of ACGNT"),
        ({"answer_letters": "AAN"}, "3 different letters of ACGNT"),
        ({"answer_letters": "AXN"}, "3 different letters of ACGNT"),
        ({"answer_letters": None}, "need each other"),
        ({"n_prompt_tokens": 64}, "below the context length of 64"),
        ({"n_prompt_tokens": -1}, "not negative; got -1"),
        ({"n_prompt_tokens": 1.5}, "an integer"),
        ({"architectures": ["HyenaDNAForSequenceClassification"]}, "lacks head"),
    ],
)
def test_a_folder_that_was_changed_is_refused(tmp_path, changed, message):
    save(MODEL, tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(InputError, match=message):
        load_classifier(str(tmp_path))


def test_too_long_or_missing_inputs_are_refused():
    with pytest.raises(InputError, match=r"4 prompt tokens and a sequence of 61 .* at most 3 "):
        MODEL(toys.tokens(1, 61))
    with pytest.raises(InputError, match="split it into windows"):
        MODEL(toys.tokens(1, 64))
    with pytest.raises(InputError, match="either input_ids or inputs_embeds"):
        MODEL()
    with pytest.raises(InputError, match="all padding"):
        MODEL(toys.tokens(2, 5), attention_mask=torch.tensor([[1] * 5, [0] * 5]))
    with pytest.raises(InputError, match="needs n_prompt_tokens and answer_letters"):
        HyenaDNAForPromptedClassification(toys.config())
    assert MODEL(toys.tokens(1, 60)).logits.shape == (1, 3)
