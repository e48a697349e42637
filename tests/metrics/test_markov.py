"""The Markov model counts both strands, interpolates as it says, and learns what there is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.metrics import markov
from megabase.metrics.markov import MarkovModel, fit_markov


def bases(text):
    return np.array(["ACGTN".index(letter) for letter in text], dtype=np.uint8)


def random_bases(length, seed=0):
    return np.random.default_rng(seed).integers(4, size=length).astype(np.uint8)


def words(text, length):
    """Give every word of certain letters on both strands, read by hand."""
    other = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    found = [s[i : i + length] for s in (text, other) for i in range(len(s) - length + 1)]
    return [word for word in found if "N" not in word]


@settings(deadline=None)
@given(text=st.text("ACGTN", min_size=40, max_size=120), order=st.integers(0, 2))
def test_the_highest_order_counts_every_word_of_both_strands(text, order):
    model = fit_markov([bases(text)], max_order=order)
    order = model.order
    for context in range(4**order):
        digits = "".join("ACGT"[context >> 2 * i & 3] for i in reversed(range(order)))
        for base in range(4):
            expected = words(text, order + 1).count(digits + "ACGT"[base])
            assert model.counts[order][context, base] == expected


def test_interpolation_by_hand():
    """Check Eq. interpolated-markov for one base after one context."""
    counts = (
        np.array([[2.0, 1, 1, 0]]),
        np.array([[0.0, 3, 1, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]),
    )
    model = MarkovModel(counts=counts, smoothing=(4.0, 2.0))
    order0 = (1 + 4 * 0.25) / (4 + 4)
    order1 = (3 + 2 * order0) / (4 + 2)
    ln_p = model.log_probabilities(bases("AC"))
    assert np.exp(ln_p[1]) == pytest.approx(order1)
    assert np.exp(ln_p[0]) == pytest.approx((2 + 4 * 0.25) / 8)


def test_a_context_with_an_unknown_base_falls_back_to_what_is_known():
    model = fit_markov([random_bases(4000)], max_order=3)
    ln_p = model.log_probabilities(bases("ACGTNACGT"))
    assert np.isnan(ln_p[4])
    np.testing.assert_allclose(ln_p[5:], ln_p[:4])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 5), st.text("ACGTN", min_size=1, max_size=30))
def test_probabilities_of_the_four_bases_sum_to_one(seed, context):
    model = fit_markov([random_bases(3000, seed)], max_order=4)
    total = sum(np.exp(model.log_probabilities(bases(context + b))[-1]) for b in "ACGT")
    assert total == pytest.approx(1.0)


def test_a_repeat_is_learned_and_noise_is_not():
    repeat = np.tile(random_bases(50), 200)
    noise = random_bases(10_000)
    of_repeat, of_noise = fit_markov([repeat]), fit_markov([noise])
    assert -np.mean(of_repeat.log_probabilities(repeat)) / np.log(2) < 0.1
    held_out = random_bases(10_000, seed=1)
    assert -np.mean(of_noise.log_probabilities(held_out)) / np.log(2) == pytest.approx(2, abs=0.01)


def test_a_tenth_without_bases_is_not_what_the_choice_is_made_on():
    model = fit_markov([bases("AAAAANAAAAAAAAANAAAAAAAAANAAAAAAAAANAAAA")], max_order=0)
    assert 0.25 < np.exp(model.log_probabilities(bases("A"))[0]) < 0.5  # as many T on the other


def test_a_table_much_larger_than_the_genome_is_not_tried():
    assert fit_markov([random_bases(100)]).order <= 4


def test_pieces_are_counted_as_a_whole(monkeypatch):
    genome = random_bases(5000)
    whole = fit_markov([genome], max_order=3)
    monkeypatch.setattr("megabase.metrics.markov._PIECE", 700)
    cut = fit_markov([genome], max_order=3)
    for one, other in zip(whole.counts, cut.counts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_choice_is_made_on_the_start_of_large_blocks(monkeypatch):
    seen = []
    choose = markov._choose
    monkeypatch.setattr(markov, "_MOST_OF_A_BLOCK", 7)
    monkeypatch.setattr(
        markov, "_choose", lambda counts, held: seen.extend(map(len, held)) or choose(counts, held)
    )
    fit_markov([np.random.default_rng(0).integers(0, 4, 5000).astype(np.uint8)], max_order=2)
    assert set(seen) == {7}
