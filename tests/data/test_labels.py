"""Labels are classes in a stable order, or numbers; what cannot be either is refused by row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.data.labels import Labels, in_order, joined
from megabase.errors import InputError


def learnt(texts, kind="auto"):
    return Labels.from_training(texts, kind=kind, name="train.csv")


def test_classes_keep_their_text_and_stand_in_natural_order():
    assert learnt(["10", "9", "2", "9"]).classes == ("2", "9", "10")
    assert learnt(["chr10", "chr2", "X"]).classes == ("X", "chr2", "chr10")
    assert learnt(["1.0", "-1.0"]).classes == ("-1.0", "1.0")
    assert learnt(["1.5", "2.5"], kind="classification").classes == ("1.5", "2.5")


@given(st.lists(st.text(), min_size=1), st.randoms())
def test_the_order_is_that_of_the_set(texts, random):
    shuffled = texts.copy()
    random.shuffle(shuffled)
    assert in_order(shuffled) == in_order(texts)
    assert set(in_order(texts)) == set(texts)


def test_classes_are_numbered_in_their_order():
    labels = learnt(["b", "a", "b"])
    np.testing.assert_array_equal(labels.encode(["b", "a"], name="x"), [1, 0])
    assert (labels.n_outputs, labels.is_regression) == (2, False)


def test_numbers_that_are_not_whole_are_a_regression(caplog):
    with caplog.at_level("INFO"):
        labels = learnt(["1.5", "2.5", "3.5"])
    assert "a regression" in caplog.text
    assert (labels.is_regression, labels.n_outputs, labels.mean) == (True, 1, 2.5)
    assert labels.scale == pytest.approx(np.std([1.5, 2.5, 3.5]))
    assert learnt(["1", "2"], kind="regression").is_regression


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        (["a", "a"], "auto", "every label of train.csv is 'a'"),
        (["a", "", "b"], "auto", "row 2: the label is empty"),
        (["1.5", "nan"], "auto", "row 2: the target is 'nan'"),
        (["1.5", "inf"], "auto", "row 2: the target is 'inf'"),
        (["1.5", "x"], "regression", "row 2: the target is 'x'"),
        (["1.5", "1.5"], "regression", "nothing to learn"),
        ([str(i) for i in range(60)], "auto", "give --kind"),
        (["a", "b"], "ranking", "kind must be one of auto"),
        (["", ""], "multilabel", "no row of train.csv has a label"),
        (["a", "a;b;a"], "multilabel", "row 2: the label is 'a;b;a'; expected different names"),
        (["a;"], "multilabel", "row 1: the label is 'a;'"),
    ],
)
def test_labels_that_cannot_be_learnt(texts, kind, message):
    with pytest.raises(InputError, match=message):
        learnt(texts, kind)


def test_a_label_that_training_does_not_have():
    with pytest.raises(InputError, match=r"test.csv, row 2: label 'c' does not occur .* has a, b"):
        learnt(["a", "b"]).encode(["a", "c"], name="test.csv")


def test_several_labels_of_a_row_are_names_and_none_is_nothing():
    labels = learnt(["b10; a", "", "b9", "a"], kind="multilabel")
    assert (labels.classes, labels.is_multilabel) == (("a", "b9", "b10"), True)
    truths = labels.encode(["b9;a", "", "b10"], name="x")
    assert (truths.dtype, truths.tolist()) == (np.uint8, [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    with pytest.raises(InputError, match="row 2: label 'c' does not occur"):
        labels.encode(["a", "b9;c"], name="x")


def test_columns_of_names_hold_0_or_1():
    row = {"a": "1", "b": "0", "c": "1"}
    assert joined(row, ["c", "b", "a"], name="t.csv, row 1") == "c;a"
    with pytest.raises(InputError, match=r"t.csv, row 1: column 'b' has '2'; expected 0 or 1"):
        joined(row | {"b": "2"}, ["a", "b"], name="t.csv, row 1")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["1", "0", "1.0"], r"'1' \(1 rows, first in row 1\), '1.0' \(1 rows, .* row 3\)"),
        (["pos", "neg", "pos "], r"several ways: 'pos' .* 'pos ' .*--label-text merge"),
        (["POS", "neg", "pos"], "several ways: 'POS'"),
        (["pos", "neg", '"pos"'], "several ways: 'pos'"),
        (["a  b", "a b", "c"], "several ways"),
        (["\u00e9", "e\u0301", "c"], "several ways"),
        (["pos", "neg", "NA", "NA"], r"seem to be missing: 'NA' \(2 rows, .* row 3\); .* exact"),
        (["pos", "neg", "nan"], "seem to be missing: 'nan'"),
        (["1.5", "2.5", "NA"], "seem to be missing: 'NA'"),
        (["pos", "neg", " "], "seem to be missing: ' '"),
    ],
)
@pytest.mark.parametrize("kind", ["auto", "classification"])
def test_labels_written_in_several_ways_or_missing_are_listed(texts, message, kind):
    with pytest.raises(InputError, match=message):
        learnt(texts, kind)
    exact = Labels.from_training(texts, kind=kind, name="t", label_text="exact")
    assert set(exact.classes) == set(texts)


def test_labels_that_differ_in_more_than_spelling_are_accepted():
    for texts in (["a_b", "a-b"], ["class 1", "class 10"], ["none", "some"], ["1", "10", "-1"]):
        assert set(learnt(texts).classes) == set(texts)


def test_labels_that_are_merged_are_one_class_in_every_table():
    texts = ["1", "1.0", "1", "pos ", "Pos", "pos"]
    labels = Labels.from_training(texts, kind="auto", name="t", label_text="merge")
    assert labels.classes == ("1", "pos")
    assert labels.encode([*texts, "POS", "1e0"], name="x").tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    for missing in ("NA", "nan"):
        with pytest.raises(InputError, match="seem to be missing"):
            Labels.from_training(["a", "b", missing], kind="auto", name="t", label_text="merge")


def test_names_of_several_labels_are_checked_too():
    with pytest.raises(InputError, match=r"'a' \(1 rows, .* row 1\), 'A' \(1 rows, .* row 2\)"):
        learnt(["a;b", "A"], kind="multilabel")
    labels = Labels.from_training(
        ["a;b", "a", "A"], kind="multilabel", name="t", label_text="merge"
    )
    assert labels.encode(["B", "A;b"], name="x").tolist() == [[0, 1], [1, 1]]


def test_a_label_that_training_spells_differently_is_an_error_with_a_remedy():
    with pytest.raises(InputError, match=r"has 0, 1; if it means '1', use --label-text merge"):
        learnt(["0", "1"]).encode(["1.0"], name="x")
