"""Every row is read once an epoch, padded on the right, turned at random if wished."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from megabase.data.labelled_dataset import Examples, StepBatches, length_batches
from megabase.genome.vocabulary import DNA_VOCABULARY
from tests import toys


def tokens(letters):
    return DNA_VOCABULARY.encode(letters).tokens


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=300),
    batch_size=st.integers(1, 40),
    epoch=st.integers(0, 3),
)
def test_every_row_is_in_one_batch(lengths, batch_size, epoch):
    batches = length_batches(np.array(lengths), batch_size, seed=0, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert max(map(len, batches)) <= batch_size


def test_batches_hold_similar_lengths_in_an_order_of_their_own():
    lengths = np.random.default_rng(0).integers(1, 1000, size=400)
    batches = length_batches(lengths, 10, seed=0, epoch=0)
    assert np.mean([np.ptp(lengths[batch]) for batch in batches]) < 100
    means = [lengths[batch].mean() for batch in batches]
    assert means != sorted(means)
    other = length_batches(lengths, 10, seed=0, epoch=1)
    assert [batch.tolist() for batch in batches] != [batch.tolist() for batch in other]


def test_padding_stands_on_the_right_and_only_where_it_must():
    examples = Examples([tokens("ACGT"), tokens("AC")], np.arange(2))
    batch = StepBatches(examples, batch_size=2, n_epochs=1, seed=0)[0]
    long = batch["labels"].tolist().index(0)
    assert batch["input_ids"][long].tolist() == [7, 8, 9, 10]
    assert batch["input_ids"][1 - long].tolist() == [7, 8, 4, 4]
    assert batch["attention_mask"][1 - long].tolist() == [True, True, False, False]
    even = Examples([tokens("AC"), tokens("GT")], np.arange(2))
    assert "attention_mask" not in StepBatches(even, batch_size=2, n_epochs=1, seed=0)[0]


def test_an_epoch_reads_every_row_with_its_label():
    sequences = [tokens(toys.letters(5 + row, seed=row)) for row in range(7)]
    examples = Examples(sequences, np.arange(7))
    steps = StepBatches(examples, batch_size=3, n_epochs=2, seed=0)
    assert (len(steps), steps.steps_per_epoch) == (6, 3)
    for epoch in (0, 1):
        batches = [steps[epoch * 3 + place] for place in range(3)]
        assert sorted(torch.cat([each["labels"] for each in batches]).tolist()) == list(range(7))
    row = int(batches[0]["labels"][0])
    assert batches[0]["input_ids"][0][: 5 + row].tolist() == sequences[row].tolist()


def test_rows_are_turned_with_the_probability_asked_for():
    sequence = tokens("AACCCC")
    examples = Examples([sequence] * 64, np.zeros(64))
    for p, turned in ((0.0, 0), (1.0, 64), (0.5, 29)):
        steps = StepBatches(examples, batch_size=64, n_epochs=1, seed=0, reverse_complement_p=p)
        batch = steps[0]["input_ids"]
        n = int((batch[:, 0] == DNA_VOCABULARY.id_of("G")).sum())
        assert n == turned or (p == 0.5 and 20 < n < 44)
        assert torch.equal(steps[0]["input_ids"], batch)
