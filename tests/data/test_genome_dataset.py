"""An example is the tokens of a step's windows, and N is never a target."""

import pytest
import torch
from torch.utils.data import DataLoader

from megabase.data.token_store import open_token_store
from megabase.data.training_windows import (
    LengthSchedule,
    Mixture,
    Stage,
    StepWindows,
    WindowSampler,
    as_batch,
)
from megabase.genome.interval import Interval
from tests.toys import write_fasta


@pytest.fixture
def store(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "ACGTNNRACGT" * 4, "chrII": "ACgtnACGT"})
    return open_token_store(fasta, cache=tmp_path)


def windows(store, start, contig="chrI"):
    return [store.read(Interval(contig, start, start + 9, strand)) for strand in "+-"]


def test_labels_are_the_tokens_but_for_n(store):
    batch = as_batch(windows(store, 0))
    assert batch["input_ids"][0].tolist() == [7, 8, 9, 10, 11, 11, 11, 7, 8]
    assert batch["labels"][0].tolist() == [7, 8, 9, 10, -100, -100, -100, 7, 8]
    assert "loss_weights" not in batch


def test_a_window_on_the_other_strand_is_the_reverse_complement(store):
    # chrI[1, 10) is CGTNNRACG, and the other strand reads CGTNNNACG
    assert as_batch(windows(store, 1))["input_ids"][1].tolist() == [8, 9, 10, 11, 11, 11, 7, 8, 9]


def test_soft_masked_bases_count_by_their_weight_on_both_strands(store):
    batch = as_batch(windows(store, 0, "chrII"), soft_mask_weight=0.25)
    expected = torch.tensor([1, 1, 0.25, 0.25, 0.25, 1, 1, 1, 1])
    assert torch.equal(batch["loss_weights"], torch.stack([expected, expected.flip(0)]))
    assert batch["input_ids"][0].tolist() == [7, 8, 9, 10, 11, 7, 8, 9, 10]  # the case is ignored


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(store, workers):
    sampler = WindowSampler(
        store, store.contigs(), longest=9, reverse_complement_p=0.5, max_unknown_fraction=1.0
    )
    mixture = Mixture({"toy": sampler}, [1.0], seed=0)
    dataset = StepWindows(mixture, LengthSchedule([Stage(0, 9, 2)], 12))
    alone = [batch["input_ids"] for batch in DataLoader(dataset, batch_size=None)]
    helped = [
        batch["input_ids"] for batch in DataLoader(dataset, batch_size=None, num_workers=workers)
    ]
    assert all((a == b).all() for a, b in zip(alone, helped, strict=True))
    assert len(alone) == 12
