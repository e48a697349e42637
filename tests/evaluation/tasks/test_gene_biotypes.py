"""Genes are read on their own strand, parted by place, with the biotypes that are frequent."""

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.genome_rows import read_genes
from megabase.evaluation.tasks.task_data import read_task_data
from megabase.genome.vocabulary import DNA
from tests.toys import letters, write_fasta

TASK = find_task("biotypes/human")
CHR20 = letters(10_000)


def write_genes(folder, more=()):
    """Write a chromosome of 10,000 bp and 93 genes of 80 bp, of two biotypes in turn."""
    write_fasta(folder / "chr20_grch37.fa", {"20": CHR20})
    (folder / "annotation_grch37").mkdir(exist_ok=True)
    starts = [start for start in range(1, 9_900, 105) if start not in (7_981, 8_926)]
    genes = [
        (start, start + 79, "+-"[number % 2], ("lincRNA", "miRNA")[number % 2])
        for number, start in enumerate(starts)
    ]
    lines = ["chrom\tstart\tend\tStrand\tgene_type"]
    lines += ["\t".join(map(str, ("chr20", *gene))) for gene in (*genes, *more)]
    (folder / "annotation_grch37/genes.tsv").write_text("\n".join(lines) + "\n")
    return genes


def test_genes_are_read_on_their_own_strand(tmp_path):
    write_genes(tmp_path)
    splits, classes = read_genes(TASK, tmp_path)
    assert classes == ("lincRNA", "miRNA")
    rows = splits["train"]
    assert rows.sequences[:2] == [CHR20[:80], DNA.reverse_complement(CHR20[105:185])]
    assert rows.labels[:2] == [0, 1]
    table = tmp_path / "annotation_grch37/genes.tsv"
    table.write_text(table.read_text().replace("\t+\t", "\t1\t").replace("\t-\t", "\t-1\t"))
    assert read_genes(TASK, tmp_path)[0]["train"] == rows


def test_the_split_is_by_position_and_genes_across_an_edge_are_skipped(tmp_path, caplog):
    caplog.set_level("INFO")
    more = [(7_990, 8_000, "+", "miRNA"), (7_990, 8_001, "+", "miRNA"),
            (9_000, 9_001, "+", "miRNA"), (8_001, 9_000, "+", "miRNA"),
            (9_001, 9_003, "-", "miRNA")]  # fmt: skip
    genes = write_genes(tmp_path, more)
    splits, _ = read_genes(TASK, tmp_path)
    assert CHR20[7_989:8_000] in splits["train"].sequences
    assert CHR20[8_000:9_000] in splits["validation"].sequences
    assert DNA.reverse_complement(CHR20[9_000:9_003]) in splits["test"].sequences
    assert sum(map(len, splits.values())) == len(genes) + 3
    assert "skipped 2 genes that cross the boundary of a split" in caplog.text


def test_rare_biotypes_are_left_out_and_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    rare = [(5, 9, "+", "rRNA")] * 19
    genes = write_genes(tmp_path, rare)
    splits, classes = read_genes(TASK, tmp_path)
    assert len(classes) == 2
    assert sum(map(len, splits.values())) == len(genes)
    assert "2 biotypes, lincRNA (47), miRNA (46); left out: rRNA (19)" in caplog.text
    write_genes(tmp_path, [*rare, (5, 9, "+", "rRNA"), *[(5, 9, "+", "tRNA")] * 50])
    assert read_genes(TASK, tmp_path)[1] == ("tRNA", "lincRNA", "miRNA", "rRNA")


def test_at_most_ten_biotypes_are_classes(tmp_path):
    write_genes(tmp_path, [(5, 9, "+", f"type{n:02}") for n in range(12) for _ in range(20 + n)])
    _, classes = read_genes(TASK, tmp_path)
    assert classes == ("lincRNA", "miRNA", *(f"type{n:02}" for n in range(11, 3, -1)))


def test_unknown_letters_and_strands_are_errors(tmp_path, caplog):
    caplog.set_level("INFO")
    write_genes(tmp_path)
    write_fasta(tmp_path / "chr20_grch37.fa", {"20": "N" * 9 + CHR20[9:]})
    read_genes(TASK, tmp_path)
    assert "1 with more than 10 % N" in caplog.text
    write_genes(tmp_path, [(5, 9, "minus", "miRNA")])
    with pytest.raises(InputError, match=r"genes.tsv, line 95: a strand is"):
        read_genes(TASK, tmp_path)


def test_one_biotype_is_too_few(tmp_path):
    write_genes(tmp_path)
    table = tmp_path / "annotation_grch37/genes.tsv"
    table.write_text(table.read_text().replace("miRNA", "lincRNA"))
    with pytest.raises(InputError, match=r"needs at least two biotypes.*found lincRNA \(93\)"):
        read_genes(TASK, tmp_path)


def test_published_figures_are_never_reported_next_to_it(tmp_path):
    write_genes(tmp_path)
    found = read_task_data(TASK, tmp_path)
    assert found.published() == ()
    assert found.class_names == ("lincRNA", "miRNA")
