"""Bases are marked where the tables say, which count from 1 and include the end."""

from dataclasses import replace

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.genome_rows import read_annotation, read_places
from megabase.genome.interval import Interval
from tests.toys import letters, write_fasta

TASK = replace(find_task("gene_structure/chr20"), length=10)
CHR20 = letters(400)


@pytest.fixture
def folder(tmp_path):
    write_fasta(tmp_path / "chr20_grch37.fa", {"20": CHR20, "MT": "ACGT"})
    (tmp_path / "annotation_grch37").mkdir()
    write_places(tmp_path, "exons", [(1, 3), (12, 25), (12, 20), (400, 400)])
    write_places(tmp_path, "CDSs", [(14, 21)])
    return tmp_path


def write_places(folder, name, places):
    lines = ["chrom\tstart\tend\tgene_name", *(f"chr20\t{a}\t{b}\tG" for a, b in places)]
    (folder / f"annotation_grch37/{name}.tsv").write_text("\n".join(lines) + "\n")


def test_bases_have_the_class_of_the_tables(folder):
    splits = read_annotation(TASK, folder)
    assert splits["train"].sequences == [CHR20[:10], CHR20[10:20], CHR20[20:30]]
    expected = [
        [1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 2, 2, 2, 2, 2, 2, 2],
        [2, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(np.stack(splits["train"].labels), expected)


def test_the_split_is_by_place(folder):
    splits = read_annotation(TASK, folder)
    assert splits["validation"].sequences == []
    assert splits["test"].sequences == [CHR20[390:]]
    write_places(folder, "exons", [(320, 320), (325, 326), (355, 356), (361, 361)])
    splits = read_annotation(TASK, folder)
    assert CHR20[310:320] in splits["train"].sequences
    assert splits["validation"].sequences == [CHR20[320:330], CHR20[350:360]]
    assert splits["test"].sequences == [CHR20[360:370]]


def test_names_of_contigs_are_those_that_the_statement_declares(folder):
    assert read_places(folder / "annotation_grch37/CDSs.tsv", {"chr20": "20"}) == [
        Interval("20", 13, 21)
    ]
    with pytest.raises(InputError, match="contig 'chr20'"):
        read_annotation(replace(TASK, aliases={}), folder)


def test_an_invalid_interval_is_an_error_with_its_line(folder):
    write_places(folder, "exons", [(5, 9), (9, 5)])
    with pytest.raises(InputError, match=r"exons.tsv, line 3: an interval needs"):
        read_annotation(TASK, folder)
