"""The Hugging Face tokenizer gives the ids of the vocabulary, one for each letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from megabase.genome.alphabet import DNA
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.tokenizer import HyenaDNATokenizer

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
