"""Windows of genomes are split by chromosome and drawn by the seed."""

from dataclasses import replace

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.genome_rows import read_genomes
from tests.toys import letters, write_fasta

TASK = replace(find_task("species/five_1k"), length=20, classes=("human", "mouse"))
HUMAN = {"chr1": letters(300, seed=1), "chr2": letters(400, seed=2)}
MOUSE = {"3": letters(300, seed=3), "4": "N" * 500 + letters(200, seed=4)}


@pytest.fixture
def folder(tmp_path):
    write_fasta(tmp_path / "human.fa", HUMAN)
    write_fasta(tmp_path / "mouse.fasta", MOUSE)
    return tmp_path


def test_each_part_has_windows_of_its_own_stretches(folder):
    splits = read_genomes(TASK, folder, seed=0, n_windows=30)
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": 60, "validation": 12, "test": 12,
    }  # fmt: skip
    source = {
        ("train", 0): HUMAN["chr2"][:360], ("validation", 0): HUMAN["chr2"][360:],
        ("test", 0): HUMAN["chr1"], ("train", 1): MOUSE["4"][:630],
        ("validation", 1): MOUSE["4"][630:], ("test", 1): MOUSE["3"],
    }  # fmt: skip
    for split, rows in splits.items():
        for text, label in zip(*rows, strict=True):
            assert text in source[split, label]
            assert len(text) == 20
            assert text.count("N") <= 2


def test_the_seed_decides_the_windows(folder):
    one, same, other = (read_genomes(TASK, folder, seed=seed)["test"] for seed in (0, 0, 1))
    assert one.sequences == same.sequences != other.sequences


def test_missing_genomes_and_contigs_are_errors(folder):
    with pytest.raises(InputError, match=r"one genome for each class in .*lemur.2bit; found none"):
        read_genomes(replace(TASK, classes=("human", "lemur")), folder, seed=0)
    with pytest.raises(InputError, match=r"test contigs \(9\) and others .* it has chr1"):
        read_genomes(replace(TASK, test_contigs=("9",)), folder, seed=0)
    with pytest.raises(InputError, match="as long as a window, 350 bp"):
        read_genomes(replace(TASK, length=350), folder, seed=0)


def test_a_genome_of_n_is_an_error(folder):
    write_fasta(folder / "mouse.fasta", {"3": letters(300), "4": "N" * 500})
    with pytest.raises(InputError, match="too many N for windows of 20 bp"):
        read_genomes(TASK, folder, seed=0, n_windows=5)
