"""megabase mutagenesis: one call makes the table, the record and the figures."""

import pytest

from megabase.model.load import save
from tests import toys
from tests.cli.command import run


@pytest.fixture
def fixed(tmp_path):
    save(toys.model(), tmp_path / "model")
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": toys.letters(60)})
    bed = tmp_path / "regions.bed"
    bed.write_text("chrI\t20\t26\tmotif\n")
    return ["--model", tmp_path / "model", "--genome", genome, "--regions", bed]


def test_it_writes_a_table_and_figures(capsys, fixed, tmp_path):
    pytest.importorskip("logomaker")
    table, figures = tmp_path / "t.tsv", tmp_path / "figures"
    options = ["--output", table, "--figures", figures, "--mode", "both", "--window", 32]
    answer = run(capsys, "mutagenesis", *fixed, *options)
    assert (answer.code, answer.out) == (0, f"{table}\n{figures}\n")
    lines = table.read_text().splitlines()
    assert lines[0] == "contig\tposition\tref\talt\tregion\tllr\tllr_gradient"
    assert len(lines) == 1 + 3 * 6
    assert (figures / "0001-motif.png").read_bytes().startswith(b"\x89PNG")
    again = run(capsys, "mutagenesis", *fixed, *options)
    assert (again.code, "is finished already" in again.err) == (0, True)


def test_a_region_beyond_its_contig_is_one_line(capsys, fixed, tmp_path):
    (tmp_path / "regions.bed").write_text("chrI\t20\t61\n")
    answer = run(capsys, "mutagenesis", *fixed, "--output", tmp_path / "t.tsv")
    lines = [line for line in answer.err.splitlines() if line.startswith("megabase: error: ")]
    assert (answer.code, len(lines)) == (2, 1)
    assert "chrI:[20, 61) ends beyond its contig, which has 60 bp" in lines[0]
    assert not (tmp_path / "t.tsv").exists()
