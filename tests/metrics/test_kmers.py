"""k-mers are counted as by hand, and the baseline learns composition and nothing from noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.metrics import kmers
from megabase.metrics.kmers import (
    Sequences,
    constant_predictions,
    fit_kmers,
    kmer_counts,
    kmer_frequencies,
    kmer_names,
    reverse_complement,
)
from megabase.metrics.task_metrics import metrics_of


def bases(text):
    return np.array(["ACGTN".index(letter) for letter in text], dtype=np.uint8)


TEXTS = st.lists(st.text("ACGTN", max_size=40), min_size=1, max_size=5)


@given(TEXTS, st.integers(1, 4))
def test_each_word_is_counted_at_its_position(texts, k):
    counts = kmer_counts([bases(text) for text in texts], k, canonical=False)
    for text, row in zip(texts, counts, strict=True):
        words = [text[i : i + k] for i in range(len(text) - k + 1)]
        expected = [words.count(name) for name in kmer_names(k, canonical=False)]
        assert row.tolist() == expected


@given(TEXTS, st.integers(1, 6))
def test_canonical_counts_are_those_of_both_strands(texts, k):
    forward = [bases(text) for text in texts]
    backward = [reverse_complement(each) for each in forward]
    np.testing.assert_array_equal(kmer_counts(forward, k), kmer_counts(backward, k))
    assert kmer_counts(forward, k, canonical=False).sum() == kmer_counts(forward, k).sum()


def test_there_are_as_many_canonical_words_as_there_should_be():
    assert [len(kmer_names(k)) for k in (1, 2, 3, 4, 6)] == [2, 10, 32, 136, 2080]
    assert kmer_names(2)[:4] == ["AA", "AC", "AG", "AT"]


def test_frequencies_sum_to_one_or_are_all_zero():
    found = kmer_frequencies([bases("ACGTACGT"), bases("ANA"), bases("")], 2)
    np.testing.assert_allclose(found.sum(axis=1), [1, 0, 0], rtol=1e-6)


def test_sequences_in_many_batches_are_those_of_one(monkeypatch):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(5, size=n).astype(np.uint8) for n in rng.integers(0, 30, size=20)]
    whole = kmer_counts(sequences, 3)
    monkeypatch.setattr(kmers, "_CELLS_AT_ONCE", 100)
    np.testing.assert_array_equal(kmer_counts(sequences, 3), whole)


def test_a_long_k_is_an_error():
    with pytest.raises(ValueError, match="from 1 to 6, got 7"):
        kmer_counts([bases("ACGT")], 7)


def sequences_of(gc, n, seed):
    rng = np.random.default_rng(seed)
    p = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    return [rng.choice(4, p=p, size=50).astype(np.uint8) for _ in range(n)]


def rows(n, seed, contrast):
    """Give n of each of two classes that differ in GC by `contrast`."""
    found = sequences_of(0.5, n, seed) + sequences_of(0.5 + contrast, n, seed + 1)
    return Sequences(found, np.repeat([0, 1], n))


def test_the_baseline_learns_composition():
    pytest.importorskip("sklearn")
    model = fit_kmers("binary", rows(60, 0, 0.2), rows(40, 2, 0.2), n_classes=2, ks=(1, 3))
    sequences, labels = rows(60, 4, 0.2)
    assert metrics_of("binary", labels, model.predict(sequences))["auroc"] > 0.9


def test_of_noise_it_learns_nothing():
    pytest.importorskip("sklearn")
    model = fit_kmers("binary", rows(60, 0, 0.0), rows(40, 2, 0.0), n_classes=2, ks=(1, 2))
    sequences, labels = rows(200, 4, 0.0)
    auroc = metrics_of("binary", labels, model.predict(sequences))["auroc"]
    assert abs(auroc - 0.5) < 3 * np.sqrt(1 / 12 * (1 / 200 + 1 / 200))


def test_values_are_learned_by_ridge():
    pytest.importorskip("sklearn")
    parts = [sequences_of(gc, 20, seed) for seed, gc in enumerate((0.2, 0.4, 0.6, 0.8))]
    sequences = [each for part in parts for each in part]
    gc = np.array([np.isin(each, [1, 2]).mean() for each in sequences])
    half = slice(0, None, 2), slice(1, None, 2)
    train, validation = (Sequences(sequences[part], gc[part]) for part in half)
    model = fit_kmers("regression", train, validation, ks=(1,))
    assert (
        metrics_of("regression", validation.labels, model.predict(validation.sequences))["r2"]
        > 0.95
    )


def test_the_constant_is_the_share_or_the_mean():
    y = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(constant_predictions("regression", y, 2), [[2, 3], [2, 3]])
    np.testing.assert_array_equal(constant_predictions("regression", y[:, 0], 2), [2, 2])
    truths = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(constant_predictions("multilabel", truths, 1), [[1, 0.5]])
