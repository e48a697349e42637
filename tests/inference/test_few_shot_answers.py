"""The class is the letter after the last SEP, whether the shared prompt is read once or not."""

import numpy as np
import pytest
import torch

from megabase.genome.few_shot_prompt import Shot, few_shot_prompt
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.few_shot_answers import few_shot_probabilities
from tests import toys

MODEL = toys.model(max_seq_len=302)
WITH_MEMORY = toys.model(max_seq_len=302, **toys.MEMORY)


def encode(text):
    return DNA_VOCABULARY.encode(text).tokens


SHOTS = [Shot(encode(toys.letters(20 + number, seed=number)), number % 2) for number in range(6)]
QUERIES = [encode(toys.letters(length, seed=50 + length)) for length in (30, 7, 90, 7, 41)]


def asked(**options):
    return few_shot_probabilities(MODEL, SHOTS, QUERIES, "AN", **options)


@pytest.mark.parametrize("letters", ["AN", "AGN"])
@pytest.mark.parametrize("shots", [[], SHOTS])
def test_it_is_the_softmax_over_the_letters_after_the_last_token(shots, letters):
    found = few_shot_probabilities(MODEL, shots, QUERIES, letters)
    ids = [DNA_VOCABULARY.id_of(letter) for letter in letters]
    for query, ours in zip(QUERIES, found, strict=True):
        prompt = torch.from_numpy(few_shot_prompt(shots, query, letters).astype(int))
        with torch.no_grad():
            expected = MODEL(prompt[None]).logits[0, -1, ids].double().softmax(-1)
        assert ours == pytest.approx(expected.numpy(), abs=1e-5)


def test_reading_the_demonstrations_once_changes_nothing():
    assert asked() == pytest.approx(asked(read_once=False), abs=1e-5)
    assert np.abs(asked() - few_shot_probabilities(MODEL, [], QUERIES, "AN")).max() > 1e-3


def test_each_query_has_the_memory_of_the_demonstrations():
    queries = [SHOTS[0].sequence, *QUERIES]
    once, again = (
        few_shot_probabilities(WITH_MEMORY, SHOTS, queries, "AN", read_once=read_once)
        for read_once in (True, False)
    )
    assert once == pytest.approx(again, abs=1e-5)


@pytest.mark.parametrize("read_once", [True, False])
def test_neither_order_nor_padding_of_queries_matters(read_once):
    order = [3, 0, 4, 2, 1]
    turned = few_shot_probabilities(
        MODEL, SHOTS, [QUERIES[row] for row in order], "AN", read_once=read_once
    )
    alone = asked(read_once=read_once, tokens_per_batch=1)
    assert turned == pytest.approx(alone[order], abs=1e-5)


def test_progress_is_reported():
    advanced = []
    asked(tokens_per_batch=100, advance=advanced.append)
    assert (sum(advanced), len(advanced) > 1) == (5, True)


def test_a_modified_model_or_one_of_another_order_reads_all_and_is_logged(caplog):
    caplog.set_level("INFO", logger="megabase")
    model = toys.model(hyena_order=3, max_seq_len=302)
    found = few_shot_probabilities(model, SHOTS, QUERIES, "AN")
    whole = few_shot_probabilities(model, SHOTS, QUERIES, "AN", read_once=False)
    assert (found == whole).all()
    assert caplog.text.count("again for every query, because its operators are of order 3") == 1


def test_invalid_requests_are_an_error():
    with pytest.raises(ValueError, match="at least one sequence to classify"):
        few_shot_probabilities(MODEL, SHOTS, [], "AN")
    with pytest.raises(ValueError, match="the model reads at most 300; 2 such shots per class fit"):
        few_shot_probabilities(MODEL, SHOTS * 2, [encode("A" * 180)], "AN")
