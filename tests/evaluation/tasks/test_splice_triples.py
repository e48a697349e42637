"""Triples of a gene stay on one side of the split."""

import math

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.labelled_rows import read_triples

TASK = find_task("splice_triples/fly")


def test_three_pieces_are_one_sequence_and_genes_are_not_divided(tmp_path):
    lines = [f"A{'C' * i} GTAG CC {i + 1} gene{i % 12}" for i in range(60)]
    (tmp_path / "eie.dm.txt").write_text("\n".join(lines) + "\n")
    splits = read_triples(TASK, tmp_path, seed=0)
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": 50, "validation": 5, "test": 5,
    }  # fmt: skip
    for rows in splits.values():
        numbers = [round(math.exp(value)) - 1 for value in rows.labels]
        expected = ["".join(lines[number].split()[:3]) for number in numbers]
        assert rows.sequences == expected
    test_genes = {(round(math.exp(value)) - 1) % 12 for value in splits["test"].labels}
    assert len(test_genes) == 1


def test_genes_that_share_a_triple_are_not_divided(tmp_path):
    tied = [f"AA GTCAG CC 1 gene{i}" for i in (0, 3)] + [f"AA GTTAG CC 1 gene{i}" for i in (3, 7)]
    lines = [f"A{'C' * i}G GTAG CC {i + 1} gene{i}" for i in range(10)]
    (tmp_path / "eie.dm.txt").write_text("\n".join(lines + tied) + "\n")
    for seed in range(10):
        splits = read_triples(TASK, tmp_path, seed=seed)
        of = [
            next(split for split, rows in splits.items() if f"A{'C' * i}GGTAGCC" in rows.sequences)
            for i in (0, 3, 7)
        ]
        assert len(set(of)) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("AA GT CC 5\n", "line 1: expected exon, intron, exon, a count of at least 1"),
        ("AA GT CC 0 g\n", "line 1: expected"),
        ("AA GT CC 1 g\nAC GT CC 1 h\n", "has 2 groups of genes without a shared triple; three"),
    ],
)
def test_an_invalid_triple_is_an_error(tmp_path, text, problem):
    (tmp_path / "eie.dm.txt").write_text(text)
    with pytest.raises(InputError, match=problem):
        read_triples(TASK, tmp_path, seed=0)
