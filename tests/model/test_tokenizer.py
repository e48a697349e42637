"""The Hugging Face tokenizer gives the ids of the vocabulary, one for each letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.model.load import load, save
from megabase.model.tokenizer import HyenaDNATokenizer
from tests import toys

TOKENIZER = HyenaDNATokenizer()


@given(st.text(DNA.letters + DNA.letters.lower(), max_size=80))
def test_ids_are_those_of_the_vocabulary_with_nothing_added(letters):
    assert TOKENIZER(letters)["input_ids"] == DNA_VOCABULARY.encode(letters).tokens.tolist()


@given(st.text("ACGTN", max_size=80))
def test_decoding_undoes_encoding(letters):
    assert TOKENIZER.decode(TOKENIZER(letters)["input_ids"]) == letters


def test_another_character_is_unknown_and_a_special_token_is_itself():
    assert TOKENIZER("A.U[SEP]")["input_ids"] == [7, 6, 6, 1]


def test_a_batch_is_padded_on_the_right():
    batch = TOKENIZER(["ACG", "A"], padding=True)
    assert batch["input_ids"] == [[7, 8, 9], [7, 4, 4]]
    assert batch["attention_mask"] == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_saved_tokenizer_loads_as_it_was(tmp_path, side):
    HyenaDNATokenizer(padding_side=side).save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(again, HyenaDNATokenizer)
    assert again.padding_side == side
    assert again("ACGTNacgtnR")["input_ids"] == TOKENIZER("ACGTNacgtnR")["input_ids"]


def test_truncation_cuts_to_the_context_of_the_saved_model(tmp_path):
    save(toys.model(), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_max_length == 64 == load(str(tmp_path)).tokenizer.model_max_length
    assert len(tokenizer("A" * 3000, truncation=True)["input_ids"]) == 64
    batch = tokenizer(["A" * 3000, "AC"], truncation=True, padding=True)["input_ids"]
    assert list(map(len, batch)) == [64, 64]
    tokenizer.save_pretrained(tmp_path / "alone")
    assert AutoTokenizer.from_pretrained(tmp_path / "alone").model_max_length == 64


def test_a_folder_saved_without_a_limit_has_that_of_its_configuration(tmp_path):
    save(toys.model(), tmp_path)
    HyenaDNATokenizer().save_pretrained(tmp_path)
    assert '"model_max_length": 1000000000' in (tmp_path / "tokenizer_config.json").read_text()
    assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == 64
    assert AutoTokenizer.from_pretrained(tmp_path, model_max_length=7).model_max_length == 7


@pytest.mark.parametrize("text", ["ACGU", ["AC", "A-"], "A*"])
def test_an_unknown_character_is_logged_once(caplog, text):
    tokenizer = HyenaDNATokenizer()
    tokenizer("ACGTNacgtnR[SEP]")
    assert not caplog.records
    for _ in range(2):
        tokenizer(text)
        tokenizer(text, return_tensors="np" if isinstance(text, str) else None)
    (record,) = caplog.records
    assert "replace U by T" in record.message


@pytest.mark.parametrize("content", ["{", "[]", '{"padding_side": 7}', "\x00\xff"])
def test_a_damaged_tokenizer_is_one_line(tmp_path, content):
    save(toys.model(), tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(content)
    with pytest.raises(ValueError, match=r"the tokenizer of .* cannot be read"):
        HyenaDNATokenizer.from_pretrained(tmp_path)
