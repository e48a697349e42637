"""A leaky split is caught and a clean one is not; a shortcut is found where there is one."""

import json

import numpy as np
import pytest

from megabase.metrics import leaks
from megabase.metrics.kmers import Sequences, reverse_complement
from megabase.metrics.leaks import shared_words


def bases(text):
    return np.array(["ACGTN".index(letter) for letter in text], dtype=np.uint8)


def find_leaks(kind, train, test, **options):
    return leaks.find_leaks(kind, train, test, n_replicates=100, **options)


def random_rows(n, seed, length=100):
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(4, size=length).astype(np.uint8) for _ in range(n)]
    return Sequences(sequences, rng.integers(2, size=n))


TRAIN = random_rows(300, 0)


def test_a_clean_random_split_shares_nothing_and_has_no_shortcut():
    report = find_leaks("binary", TRAIN, random_rows(200, 1), n_classes=2)
    assert not report.is_leaky
    assert (report.exact.n, report.reverse_complement.n, report.n_near) == (0, 0, 0)
    assert not any(each.tells for each in report.shortcuts.values())
    assert 0.4 < report.majority_accuracy < 0.6  # pyright: ignore[reportOperatorIssue]


def test_a_leaky_split_is_caught_on_both_strands():
    test = random_rows(40, 1)
    sequences, labels = list(test.sequences), test.labels.copy()
    sequences[:4], labels[:4] = TRAIN.sequences[:4], TRAIN.labels[:4]
    labels[0] = 1 - labels[0]
    sequences[4:6] = [reverse_complement(each) for each in TRAIN.sequences[4:6]]
    labels[4:6] = TRAIN.labels[4:6]
    changed = TRAIN.sequences[7].copy()
    changed[50] = (changed[50] + 1) % 4  # 39 of 70 words are as they were
    sequences[6] = changed
    report = find_leaks("binary", TRAIN, Sequences(sequences, labels), n_classes=2)
    assert report.is_leaky
    assert (report.exact.n, report.exact.share, report.exact.n_other_label) == (4, 0.1, 1)
    assert (report.reverse_complement.n, report.reverse_complement.n_other_label) == (2, 0)
    assert report.n_near == 1
    assert "exact repeats of training rows: 4 (10.00%), 1 of them with another label" in str(report)


def test_words_are_shared_across_rows_and_strands_only_if_whole():
    text = "AACCAGGAAG"
    train = [bases(text[:5]), reverse_complement(bases(text[5:]))]
    shares = shared_words(train, [bases(text), bases("ACN"), bases("AACCNAACC")], length=4)
    assert shares.tolist() == pytest.approx([4 / 7, np.nan, 1.0], nan_ok=True)


def with_number(name, n, seed):
    """Give rows of two classes that differ in one number only, and are random else."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    sequences = []
    for label in labels:
        length = 120 if name == "length" and label else 100
        gc = 0.7 if name == "gc" and label else 0.5
        p = np.array([1 - gc, gc, gc, 1 - gc]) / 2
        sequence = rng.choice(4, size=length, p=p).astype(np.uint8)
        if name == "n" and label:
            sequence[:3] = 4
        sequences.append(sequence)
    return Sequences(sequences, labels)


def test_nothing_is_shared_with_sequences_too_short_for_a_word():
    short, long = np.zeros(5, np.uint8), np.zeros(40, np.uint8)
    np.testing.assert_array_equal(shared_words([short], [long, short]), [0.0, np.nan])


@pytest.mark.parametrize("name", ["length", "gc", "n"])
def test_one_number_that_determines_the_class_is_found(name):
    report = find_leaks("binary", with_number(name, 300, 0), with_number(name, 100, 1), n_classes=2)
    assert {other for other, each in report.shortcuts.items() if each.tells} == {name}
    assert report.shortcuts[name].value > 0.95
    assert report.shortcuts[name].accuracy > 0.9


def test_values_and_many_labels_have_shortcuts_too():
    train, test = with_number("gc", 300, 0), with_number("gc", 100, 1)
    values = [Sequences(part.sequences, part.labels.astype(float)) for part in (train, test)]
    of_values = find_leaks("regression", *values)
    assert (of_values.metric, of_values.majority_accuracy) == ("r2", None)
    assert of_values.shortcuts["gc"].value > 0.8
    assert not of_values.shortcuts["length"].tells
    truths = [
        Sequences(part.sequences, np.stack([part.labels == 1, part.labels == 0], axis=1))
        for part in (train, test)
    ]
    assert find_leaks("multilabel", *truths).shortcuts["gc"].value > 0.95


def test_the_report_is_plain_json():
    report = find_leaks("binary", TRAIN, random_rows(20, 1, length=20), n_classes=2)
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["n_without_words"] == 20
    assert found["exact"] == {"n": 0, "share": 0.0, "n_other_label": 0}
    assert found["is_leaky"] is False
    assert len(found["shortcuts"]["gc"]["interval"]) == 2


def test_an_empty_part_is_an_error():
    with pytest.raises(ValueError, match="the test split needs rows"):
        find_leaks("binary", TRAIN, Sequences([], np.zeros(0, dtype=int)), n_classes=2)
