"""Copies of a place stay on one side of the split, and species are as many."""

from dataclasses import replace

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.genome_rows import read_aligned
from tests.toys import letters

TASK = replace(find_task("species/apes_chr22_1024"), length=8)
NAMES = ("Hsap", "Ptro", "Ggor", "Ppyg")


def write(folder, blocks):
    lines = ["##maf version=1"]
    for block in blocks:
        lines += ["", "a"]
        for name, text in zip(NAMES, block, strict=True):
            lines.append(f"s {name}.22 0 {len(text) - text.count('-')} + 99999 {text}")
    (folder / "apes_chr22.maf").write_text("\n".join(lines) + "\n")


def block(number, n=20):
    """Four rows, the second with a gap, all beginning with letters of the block's own."""
    text = letters(n, seed=number)
    return [text, text[:4] + "--" + text[6:], text[:-1] + "A", text]


def test_windows_of_a_block_lie_in_one_part(tmp_path):
    write(tmp_path, [block(number) for number in range(30)])
    splits = read_aligned(TASK, tmp_path, seed=0)
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": 24 * 2 * 4, "validation": 3 * 2 * 4, "test": 3 * 2 * 4,
    }  # fmt: skip
    human = {
        split: {s for s, label in zip(*rows, strict=True) if label == 0}
        for split, rows in splits.items()
    }
    for number in range(30):
        text = letters(20, seed=number)
        of = {split for split, some in human.items() if {text[:8], text[8:16]} <= some}
        assert len(of) == 1


def test_so_many_windows_of_each_species_are_drawn(tmp_path):
    write(tmp_path, [block(number) for number in range(30)])
    whole = read_aligned(TASK, tmp_path, seed=0)
    splits = read_aligned(TASK, tmp_path, seed=0, n_windows=10)
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": 10 * 4, "validation": 2 * 4, "test": 2 * 4,
    }  # fmt: skip
    for split, rows in splits.items():
        assert set(rows.sequences) <= set(whole[split].sequences)
        assert rows.labels == [0, 1, 2, 3] * (len(rows) // 4)
    assert splits["train"].sequences[:40] != whole["train"].sequences[:40]
    assert read_aligned(TASK, tmp_path, seed=0, n_windows=900) == whole


def test_gaps_are_taken_out_and_the_shortest_row_decides(tmp_path):
    gapped = [["ACGTACGTACGTACGT", "ACGT----ACGTACGT", "A" * 16, "C" * 16]]
    write(tmp_path, gapped * 3)
    splits = read_aligned(TASK, tmp_path, seed=0)
    assert splits["test"].sequences == ["ACGTACGT", "ACGTACGT", "A" * 8, "C" * 8]
    assert splits["test"].labels == [0, 1, 2, 3]


def test_a_window_of_unknown_letters_is_left_out_of_all(tmp_path):
    unknown = [["ACGTACGT"] * 3 + ["NNNNACGT"]]
    write(tmp_path, [block(number, 8 + 2) for number in range(3)] + unknown)
    splits = read_aligned(TASK, tmp_path, seed=0)
    assert sum(len(rows) for rows in splits.values()) == 3 * 4


def test_the_seed_decides_the_parts(tmp_path):
    write(tmp_path, [block(number) for number in range(30)])
    one, same, other = (read_aligned(TASK, tmp_path, seed=seed)["test"] for seed in (0, 0, 1))
    assert one.sequences == same.sequences != other.sequences


def test_too_few_blocks_or_other_species_are_an_error(tmp_path):
    write(tmp_path, [block(number) for number in range(2)])
    with pytest.raises(InputError, match=r"has 2 blocks with a window of 8 bp.*has 18 bp"):
        read_aligned(TASK, tmp_path, seed=0)
    (tmp_path / "apes_chr22.maf").write_text("a\ns Hsap.22 0 4 + 99 ACGT\n")
    with pytest.raises(
        InputError, match=r"a block has the rows Hsap.22; .* each of Hsap, Ptro, Ggor, Ppyg"
    ):
        read_aligned(TASK, tmp_path, seed=0)
