"""An embedding is that of its sequence alone, whatever is read beside it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.errors import InputError, WorkError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.choices import Pooling
from megabase.inference.hidden import embed, hidden_states
from megabase.inference.windows import windows
from tests import toys

MODEL = toys.model()
POOLINGS = ("none", "mean", "last", "max", "centre", "window:7")
LENGTH = 150  # with a context of 64: windows


def encode(text):
    return DNA_VOCABULARY.encode(text).tokens


def answers(sequences, pooling="mean", **options):
    options = {"strand": "forward", "stride": 24} | options
    return list(embed(MODEL, sequences, pooling=Pooling.from_text(pooling), **options))


def stitched(tokens, stride=24):
    """Give the hidden states of each position, from the first window that reads it."""
    rows = []
    for window in windows(len(tokens), 64, stride):
        read = torch.from_numpy(tokens[window.start : window.end].astype(np.int64))
        rows.append(hidden_states(MODEL, read[None])[0, window.first - window.start :].numpy())
    return np.concatenate(rows)


SEQUENCE = encode(toys.letters(LENGTH - 3) + "NNN")
STATES = stitched(SEQUENCE)
OTHER = stitched(DNA_VOCABULARY.reverse_complement(SEQUENCE))[::-1]  # at forward positions


def pooled(states, pooling, last=-1):
    """Pool by the definition; checks Eq. mean-embedding."""
    by_kind = {
        "none": lambda: states,
        "mean": lambda: states.sum(axis=0) / len(states),
        "last": lambda: states[last],
        "max": lambda: states.max(axis=0),
        "centre": lambda: states[75],
        "window:7": lambda: np.stack([states[i : i + 7].mean(0) for i in range(0, LENGTH, 7)]),
    }
    return by_kind[pooling]()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_poolings_are_those_of_the_stitched_states_on_each_strand(pooling):
    one, other = pooled(STATES, pooling), pooled(OTHER, pooling, last=0)
    (forward,) = answers([SEQUENCE], pooling)
    (average,) = answers([SEQUENCE], pooling, strand="average")
    (both,) = answers([SEQUENCE], pooling, strand="both")
    np.testing.assert_allclose(forward, one, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(average, (one + other) / 2, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(both, np.concatenate([one, other], -1), rtol=1e-5, atol=1e-5)
    assert forward.dtype == average.dtype == both.dtype == np.float32
    assert np.abs(one - other).max() > 0.1


@settings(deadline=None, max_examples=15)
@given(
    lengths=st.lists(st.sampled_from([1, 5, 5, 64, 65, 130]), min_size=1, max_size=5),
    start=st.integers(0, 7),
    pooling=st.sampled_from(POOLINGS),
    strand=st.sampled_from(["forward", "average", "both"]),
)
def test_no_neighbour_changes_a_bit_of_windows_that_are_read_one_by_one(
    lengths, start, pooling, strand
):
    sequences = [encode(toys.letters(n, seed=i)) for i, n in enumerate(lengths)]
    options = {"strand": strand, "tokens_per_batch": 1}
    together = answers(sequences, pooling, **options)
    alone = [answers([each], pooling, **options)[0] for each in sequences]
    fewer = answers(sequences[start:], pooling, **options)
    batched = answers(sequences, pooling, strand=strand, tokens_per_batch=200)
    for a, b, c in zip(together, alone, batched, strict=True):
        assert np.array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-4)
    for a, b in zip(together[start:], fewer, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "none"])
def test_the_mean_of_both_strands_is_that_of_the_reverse_complement(pooling):
    turned = DNA_VOCABULARY.reverse_complement(SEQUENCE)
    (one,), (other,) = (
        answers([each], pooling, strand="average", tokens_per_batch=1)
        for each in (SEQUENCE, turned)
    )
    assert np.array_equal(one, other[::-1] if pooling == "none" else other)


def test_the_number_of_tokens_read_is_reported():
    advanced = []
    answers([SEQUENCE, SEQUENCE[:10]], strand="average", on_tokens=advanced.append)
    assert sum(advanced) == 2 * (5 * 64 + 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strand": "-"}, "the strand must be one of average, forward, both; got '-'"),
        ({"layer": 3}, "to 2 .the last of this model.; got 3"),
        ({"stride": 65}, "from 1 to the context of 64 tokens, got 65"),
        ({"stride": None}, "sequence 0 .* has 150 bp, and the model reads at most 64"),
        ({"pooling": "average"}, "the pooling must be none, mean, .*; got 'average'"),
        ({"pooling": "window:0"}, "got 'window:0'"),
    ],
)
def test_invalid_input_is_an_error(change, message):
    with pytest.raises(InputError, match=message):
        answers([SEQUENCE], **change)


def test_an_empty_sequence_is_named():
    with pytest.raises(InputError, match=r"sequence 1 .* has no letters"):
        answers([encode("ACGT"), encode("")])


def test_a_model_that_has_diverged_is_a_failure():
    broken = toys.model()
    broken.backbone.norm.weight.data[0] = torch.nan
    with pytest.raises(WorkError, match="is NaN"):
        list(embed(broken, [encode("ACGT")]))
