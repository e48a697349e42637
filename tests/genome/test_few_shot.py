"""A prompt is what the paper writes down, letter by letter."""

import numpy as np
import pytest

from megabase.genome.few_shot_prompt import (
    Shot,
    check_fits,
    demonstration_tokens,
    few_shot_prompt,
    prompt_length,
)
from megabase.genome.vocabulary import DNA_VOCABULARY


def encode(text):
    return DNA_VOCABULARY.encode(text).tokens


def written(tokens):
    return "".join(DNA_VOCABULARY.tokens[token] for token in tokens)


SHOTS = [Shot(encode("ACGT"), 0), Shot(encode("GGTT"), 1)]


@pytest.mark.parametrize(
    ("shots", "letters", "expected"),
    [
        (SHOTS, "AN", "ACGT[SEP]A[SEP]GGTT[SEP]N[SEP]CC[SEP]"),
        (SHOTS[::-1], "AGN", "GGTT[SEP]G[SEP]ACGT[SEP]A[SEP]CC[SEP]"),
        ([], "AN", "CC[SEP]"),
    ],
)
def test_the_layout(shots, letters, expected):
    tokens = few_shot_prompt(shots, encode("CC"), letters)
    assert written(tokens) == expected
    assert tokens.dtype == np.uint8
    assert len(tokens) == prompt_length(shots, 2)


def test_demonstrations_alone_are_the_start_of_every_prompt():
    assert written(demonstration_tokens(SHOTS, "AN")) == "ACGT[SEP]A[SEP]GGTT[SEP]N[SEP]"
    assert len(demonstration_tokens([], "AN")) == 0


def test_only_letters_and_known_classes_are_written():
    with pytest.raises(ValueError, match="classes 0 to 1; got class 2"):
        few_shot_prompt([Shot(encode("A"), 2)], encode("A"), "AN")
    with pytest.raises(ValueError, match="at least one letter"):
        few_shot_prompt(SHOTS, encode(""), "AN")
    with pytest.raises(ValueError, match="only letters can be decoded"):
        few_shot_prompt([Shot(np.array([7, 1], dtype=np.uint8), 0)], encode("A"), "AN")


def test_a_prompt_over_the_context_is_an_error_with_the_number_of_shots_that_fit():
    rows = [Shot(encode("A" * 10), number % 2) for number in range(8)]  # 8 x 13 + 11
    check_fits(rows, 10, 115, n_classes=2)
    match = "8 demonstrations of up to 10 bp and a query of 10 bp make a prompt of 115 tokens, and "
    with pytest.raises(
        ValueError, match=f"{match}the model reads at most 114; 3 such shots per class fit"
    ):
        check_fits(rows, 10, 114, n_classes=2)
    with pytest.raises(ValueError, match=r"10 bp and SEP make 11 tokens, .* at most 10"):
        check_fits([], 10, 10, n_classes=2)
