"""An example is the tokens of its window, and N is never a target."""

import pytest
from torch.utils.data import DataLoader

from megabase.data.genome_dataset import GenomeDataset
from megabase.data.token_store import open_token_store
from megabase.genome.interval import Interval
from tests.toys import write_fasta


@pytest.fixture
def dataset(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "ACGTNNRACGT" * 4})
    store = open_token_store(fasta, cache=tmp_path)
    return GenomeDataset(store, lambda i: Interval("chrI", i, i + 9, "+-"[i % 2]), 12)


def test_labels_are_the_tokens_but_for_n(dataset):
    assert dataset[0]["input_ids"].tolist() == [7, 8, 9, 10, 11, 11, 11, 7, 8]
    assert dataset[0]["labels"].tolist() == [7, 8, 9, 10, -100, -100, -100, 7, 8]


def test_a_window_on_the_other_strand_is_the_reverse_complement(dataset):
    # chrI[1, 10) is CGTNNRACG, and the other strand reads CGTNNNACG
    assert dataset[1]["input_ids"].tolist() == [8, 9, 10, 11, 11, 11, 7, 8, 9]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(dataset, workers):
    alone = [batch["input_ids"] for batch in DataLoader(dataset, batch_size=4)]
    helped = [
        batch["input_ids"] for batch in DataLoader(dataset, batch_size=4, num_workers=workers)
    ]
    assert all((a == b).all() for a, b in zip(alone, helped, strict=True))
    assert len(alone) == 3
