"""Predictions come in the order of the sequences, one strand or the mean of both."""

import numpy as np
import pytest
import torch

from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference import predictions as module
from megabase.inference.predictions import (
    PredictionTable,
    prediction_columns,
    prediction_row,
    predictions,
)
from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
)
from tests import toys

SEQUENCES = [DNA_VOCABULARY.encode(toys.letters(5 + 7 * n % 40, seed=n)).tokens for n in range(30)]


def classifier(**keys):
    torch.manual_seed(0)
    return HyenaDNAForSequenceClassification(toys.config(**({"num_labels": 3} | keys))).eval()


def alone(model, tokens):
    with torch.no_grad():
        return model(torch.from_numpy(tokens.astype(np.int64))[None]).logits[0].double()


@pytest.mark.parametrize("n_sorted", [1024, 7])
def test_each_answer_is_that_of_its_sequence_alone(monkeypatch, n_sorted):
    monkeypatch.setattr(module, "_SORTED", n_sorted)
    model, done = classifier(), []
    found = np.stack(list(predictions(model, iter(SEQUENCES), advance=done.append)))
    expected = np.stack([alone(model, tokens).softmax(0).numpy() for tokens in SEQUENCES])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert sum(done) == 30


def test_the_average_is_over_both_strands():
    model = classifier(num_labels=1)
    found = np.stack(list(predictions(model, SEQUENCES, strand="average")))
    both = [
        (alone(model, tokens) + alone(model, DNA_VOCABULARY.reverse_complement(tokens))) / 2
        for tokens in SEQUENCES
    ]
    np.testing.assert_allclose(found, torch.stack(both).numpy(), atol=1e-5)


def test_columns_and_rows_name_the_classes():
    config = classifier(id2label={0: "b", 1: "a", 2: "c"}).config
    assert prediction_columns(config) == ["predicted", "p_b", "p_a", "p_c"]
    row = prediction_row(config, np.array([0.2, 0.4, 0.4]))
    assert row == {"predicted": "a", "p_b": 0.2, "p_a": 0.4, "p_c": 0.4}
    values = classifier(num_labels=2, problem_type="regression").config
    assert prediction_columns(values) == ["predicted_LABEL_0", "predicted_LABEL_1"]


def test_of_several_labels_each_has_a_probability_and_those_of_a_half_are_named():
    model = classifier(problem_type="multi_label_classification", id2label=dict(enumerate("abc")))
    found = np.stack(list(predictions(model, SEQUENCES)))
    expected = np.stack([alone(model, tokens).sigmoid().numpy() for tokens in SEQUENCES])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    row = prediction_row(model.config, np.array([0.5, 0.4, 0.9]))
    assert row == {"predicted": "a;c", "p_a": 0.5, "p_b": 0.4, "p_c": 0.9}
    assert prediction_row(model.config, np.array([0.1, 0.4, 0.0]))["predicted"] == ""


def test_what_cannot_be_predicted_is_refused():
    odd = classifier()
    for kind in ("ranking", {"ranking": 1}):
        odd.config.problem_type = kind
        with pytest.raises(InputError, match=r"problem type single_label.*; got .*ranking"):
            list(predictions(odd, SEQUENCES))
    broken = classifier()
    broken.head.linear.bias.data[0] = torch.nan
    with pytest.raises(WorkError, match="is NaN"):
        list(predictions(broken, SEQUENCES))


def tagger(**keys):
    torch.manual_seed(0)
    return HyenaDNAForTokenClassification(toys.config(**({"num_labels": 3} | keys))).eval()


@pytest.mark.parametrize(("name", "most"), [("_SORTED", 7), ("_TOKENS_SORTED", 50)])
def test_each_base_is_answered_as_in_its_sequence_alone(monkeypatch, name, most):
    monkeypatch.setattr(module, name, most)
    model = tagger()
    found = list(predictions(model, iter(SEQUENCES)))
    for answer, tokens in zip(found, SEQUENCES, strict=True):
        expected = alone_by_base(model, tokens).softmax(1).numpy()
        np.testing.assert_allclose(answer, expected, atol=1e-5)


def alone_by_base(model, tokens):
    with torch.no_grad():
        return model(torch.from_numpy(tokens.astype(np.int64))[None]).logits[0].double()


def test_of_both_strands_the_answers_at_one_base_are_averaged():
    model = tagger(num_labels=1)
    for found, tokens in zip(
        predictions(model, SEQUENCES, strand="average"), SEQUENCES, strict=True
    ):
        other = alone_by_base(model, DNA_VOCABULARY.reverse_complement(tokens)).flip(0)
        expected = (alone_by_base(model, tokens) + other) / 2
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_averaged_over_strands_a_prediction_depends_on_bases_on_both_sides():
    model = tagger(num_labels=1)
    tokens, changed = SEQUENCES[4], SEQUENCES[4].copy()
    changed[-1] = 7 if tokens[-1] != 7 else 8
    for strand, is_seen in (("forward", False), ("average", True)):
        one, other = predictions(model, [tokens, changed], strand=strand)
        assert np.allclose(one[0], other[0], atol=1e-7) != is_seen


def test_a_line_of_a_base_has_its_row_its_position_and_its_place():
    config = tagger(num_labels=2, id2label={0: "b", 1: "a"}).config
    answers = [np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([[0.5, 0.5]])]
    rows = [{"id": "x", "sequence": "AC"}, {"id": "y", "sequence": "G"}]
    places = [Interval("chr1", 5, 7, "-"), Interval("chr1", 9, 10)]
    table = PredictionTable(config, per_base=True, has_places=True)
    columns = ["id", "row", "position", "base", "predicted", "p_b", "p_a"]
    assert table.columns(["id", "sequence"]) == columns
    lines = [
        line
        for number, (row, place, answer) in enumerate(zip(rows, places, answers, strict=True), 1)
        for line in table.lines(number, row, place, answer)
    ]
    assert [list(line.values()) for line in lines] == [
        ["x", 1, 0, 6, "a", 0.2, 0.8],
        ["x", 1, 1, 5, "b", 1.0, 0.0],
        ["y", 2, 0, 9, "b", 0.5, 0.5],
    ]
    assert all(list(line) == columns for line in lines)
