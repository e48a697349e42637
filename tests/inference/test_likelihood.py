"""Likelihoods are those of the four bases, and no batch or padding changes them."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.likelihood import (
    base_log_likelihoods,
    log_likelihoods,
    long_log_likelihoods,
)
from megabase.inference.windows import windows
from tests import toys

MODEL = toys.model()


def encode(text):
    return DNA_VOCABULARY.encode(text).tokens


def score(sequences, **options):
    return list(log_likelihoods(MODEL, sequences, **options))


def test_each_base_is_scored_by_the_four_logits_before_it():
    """Check Eq. log-likelihood for each base of a sequence."""
    tokens = encode("ACNGT")
    logits = MODEL(torch.tensor(tokens.astype(int))[None]).logits[0].double()
    (values,) = score([tokens])
    assert values[0] == pytest.approx(math.log(0.25))
    for t in (1, 3, 4):
        four = logits[t - 1, 7:11]
        expected = (four[tokens[t] - 7] - torch.logsumexp(four, 0)).item()
        assert values[t] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(values[2])


def test_all_sequences_of_one_length_have_probability_one_together():
    sequences = [encode(a + b + c) for a in "ACGT" for b in "ACGT" for c in "ACGT"]
    total = sum(math.exp(values.sum()) for values in score(sequences))
    assert total == pytest.approx(1.0, rel=1e-5)


def test_logits_of_other_tokens_do_not_count():
    tokens = toys.tokens(1, 10)
    logits = torch.randn(1, 10, 12)
    changed = logits.clone()
    changed[..., [0, 4, 11]] += 5.0
    torch.testing.assert_close(
        base_log_likelihoods(logits, tokens),
        base_log_likelihoods(changed, tokens),
        equal_nan=True,
    )


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    tokens_per_batch=st.sampled_from([1, 64, 200, 1000]),
)
def test_neither_batch_nor_padding_changes_a_score(lengths, tokens_per_batch):
    sequences = [encode(toys.letters(n, seed=i)) for i, n in enumerate(lengths)]
    alone = [score([sequence])[0] for sequence in sequences]
    together = score(sequences, tokens_per_batch=tokens_per_batch)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_batch_holds_no_more_tokens_than_allowed(monkeypatch):
    seen = []
    original = MODEL.logits_in_chunks

    def watched(tokens, mask, *, features=None):
        seen.append(tuple(tokens.shape))
        return original(tokens, mask, features=features)

    monkeypatch.setattr(MODEL, "logits_in_chunks", watched)
    score([encode("A" * n) for n in (10, 10, 30, 5, 60)], tokens_per_batch=50)
    assert seen == [(2, 10), (1, 30), (1, 5), (1, 60)]


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_logits_in_parts_are_all_the_logits(at_once):
    tokens = toys.tokens(2, 30)
    with torch.no_grad():
        parts = list(MODEL.logits_in_chunks(tokens, at_once=at_once))
        torch.testing.assert_close(torch.cat([p for _, p in parts], dim=1), MODEL(tokens).logits)
    assert max(part.shape[1] for _, part in parts) <= at_once


def test_parts_change_no_score(monkeypatch):
    sequence, original = encode(toys.letters(50)), MODEL.logits_in_chunks
    whole = score([sequence])[0]
    monkeypatch.setattr(MODEL, "logits_in_chunks", partial(original, at_once=7))
    np.testing.assert_allclose(score([sequence])[0], whole, rtol=1e-5)


def test_no_sequence_gives_no_score():
    assert score([]) == []


def long_score(sequences, stride, **options):
    return list(long_log_likelihoods(MODEL, sequences, stride=stride, **options))


@settings(deadline=None, max_examples=10)
@given(lengths=st.lists(st.integers(1, 150), min_size=1, max_size=2), stride=st.integers(4, 64))
def test_a_long_sequence_is_stitched_from_what_its_windows_say(lengths, stride):
    sequences = [encode(toys.letters(n, seed=i)) for i, n in enumerate(lengths)]
    done = []
    found = long_score(sequences, stride, tokens_per_batch=1, advance=done.append)
    cut = [windows(n, 64, stride) for n in lengths]
    assert sum(done) == sum(map(len, cut))
    for values, tokens, places in zip(found, sequences, cut, strict=True):
        parts = [
            score([tokens[place.start : place.end]])[0][place.first - place.start :]
            for place in places
        ]
        assert values.tobytes() == np.concatenate(parts).tobytes()


def test_at_a_stride_of_the_context_windows_share_nothing():
    tokens = encode(toys.letters(192))
    (values,) = long_score([tokens], 64)
    parts = score([tokens[:64], tokens[64:128], tokens[128:]])
    np.testing.assert_allclose(values, np.concatenate(parts), rtol=1e-5)
    assert values[64] == pytest.approx(math.log(0.25))


def test_a_smaller_stride_gives_more_context_and_another_answer():
    tokens = encode(toys.letters(130))
    (near,), (far,) = long_score([tokens], 64), long_score([tokens], 8)
    np.testing.assert_allclose(far[:64], near[:64], rtol=1e-5)
    assert np.abs(far[64:128] - near[64:128]).max() > 1e-3


def test_a_stride_changes_nothing_of_what_is_not_longer_than_the_context():
    sequences = [encode(toys.letters(n)) for n in (1, 63, 64, 20)]
    for one, other in zip(long_score(sequences, 5), score(sequences), strict=True):
        assert one.tobytes() == other.tobytes()


def test_n_is_not_scored_where_windows_meet():
    (values,) = long_score([encode(toys.letters(95) + "NN" + toys.letters(60))], 32)
    assert np.flatnonzero(np.isnan(values)).tolist() == [95, 96]


@pytest.mark.parametrize("stride", [0, 65])
def test_an_invalid_stride_is_an_error_even_if_no_sequence_is_long(stride):
    with pytest.raises(InputError, match="from 1 to the context of 64 tokens, got"):
        long_score([encode("ACGT")], stride)
