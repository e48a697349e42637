"""Every row is read once an epoch, padded on the right, turned at random if wished."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from megabase.data.labelled_dataset import Examples, StepBatches, passes, random_batches
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
    batches = random_batches(np.array(lengths), batch_size, seed=0, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert max(map(len, batches)) <= batch_size


def test_a_batch_has_all_lengths_in_increasing_order():
    lengths = np.random.default_rng(0).integers(1, 1000, size=400)
    batches = random_batches(lengths, 40, seed=0, epoch=0)
    assert all(abs(lengths[batch].mean() - 500) < 200 for batch in batches)
    assert all((np.diff(lengths[batch]) >= 0).all() for batch in batches)
    other = random_batches(lengths, 40, seed=0, epoch=1)
    assert [batch.tolist() for batch in batches] != [batch.tolist() for batch in other]


def test_a_pass_holds_similar_lengths():
    assert passes(np.array([1, 2, 65, 66, 300, 400, 401]), 9) == [
        slice(0, 3), slice(3, 4), slice(4, 6), slice(6, 7)
    ]  # fmt: skip
    assert passes(np.array([5, 5, 5, 5, 5]), 2) == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_padding_is_on_the_right_and_only_where_necessary():
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


def test_rows_are_reverse_complemented_with_the_given_probability():
    sequence = tokens("AACCCC")
    examples = Examples([sequence] * 64, np.zeros(64))
    for p, turned in ((0.0, 0), (1.0, 64), (0.5, 29)):
        steps = StepBatches(examples, batch_size=64, n_epochs=1, seed=0, reverse_complement_p=p)
        batch = steps[0]["input_ids"]
        n = int((batch[:, 0] == DNA_VOCABULARY.id_of("G")).sum())
        assert n == turned or (p == 0.5 and 20 < n < 44)
        assert torch.equal(steps[0]["input_ids"], batch)


def test_labels_of_bases_are_padded_with_what_does_not_count_and_turned_with_their_row():
    sequences = [tokens("AACG"), tokens("TT")]
    for labels, padding in (
        ([np.array([0, 0, 1, 2], dtype=np.uint8), np.array([3, 4], dtype=np.uint8)], -100),
        ([np.float32([0, 0, 1, 2]), np.float32([3, 4])], np.nan),
    ):
        examples = Examples(sequences, labels)
        for p, long, short in ((0.0, [0, 0, 1, 2], [3, 4]), (1.0, [2, 1, 0, 0], [4, 3])):
            steps = StepBatches(examples, batch_size=2, n_epochs=1, seed=0, reverse_complement_p=p)
            batch = steps[0]
            at = 0 if batch["attention_mask"][0].all() else 1
            expected = np.array([long, [*short, padding, padding]])
            np.testing.assert_array_equal(batch["labels"][[at, 1 - at]], expected)


def test_what_is_measured_are_the_bases_that_count():
    labels = [np.float32([1, np.nan]), np.float32([np.nan, 2, 3])]
    examples = Examples([tokens("AC"), tokens("GTA")], labels)
    np.testing.assert_array_equal(examples.targets(), [1, 2, 3])
    np.testing.assert_array_equal(examples.units(), [0, 1, 1])
    np.testing.assert_array_equal(examples.counted(np.arange(5) * 10), [0, 30, 40])
    np.testing.assert_array_equal(examples.ends(), [2, 5])
    part = examples.part(np.array([1]))
    np.testing.assert_array_equal(part.targets(), [2, 3])
    classes = Examples([tokens("AC")], [np.array([-100, 1])])
    assert classes.targets().tolist() == [1]
    rows = Examples([tokens("AC"), tokens("GTA")], np.array([5, 6]))
    assert (rows.targets().tolist(), rows.units(), rows.ends().tolist()) == ([5, 6], None, [1, 2])
