"""Substitutions of a gene are classified by the genetic code, and their scores compared."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from scripts.rpob_variants import (
    AROUND,
    CODE,
    areas,
    consequences,
    main,
    markov_ratios,
    read_ratios,
)

from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.inference.letters import load, saturation_mutagenesis
from megabase.io.genome_file import open_reference
from megabase.metrics.markov import fit_markov
from megabase.runtime.location import genome_path
from tests import toys


def test_the_genetic_code_is_the_standard_one():
    assert [codon for codon in CODE if CODE[codon] == "*"] == ["TAA", "TAG", "TGA"]
    assert [CODE[codon] for codon in ("ATG", "TGG", "AAA", "GAC", "CGT", "ATA")] == list("MWKDRI")
    assert len(CODE) == 64
    assert len(set(CODE.values())) == 21


def test_every_substitution_between_start_and_stop_has_a_class():
    found = {(offset, alt): kind for offset, alt, kind in consequences("ATGTATCTGTAA")}
    assert sorted({offset for offset, _ in found}) == list(range(3, 9))
    assert len(found) == 18
    assert found[5, "A"] == found[5, "G"] == "stop gained"
    assert found[5, "C"] == found[6, "T"] == found[8, "A"] == "synonymous"
    assert found[4, "T"] == "missense"


@pytest.mark.parametrize("coding", ["ATGTAACTGTAA", "ATGCTGCTG", "ATGCTGTA", "ATGNTGTAA"])
def test_what_is_not_a_coding_sequence_is_refused(coding):
    with pytest.raises(typer.BadParameter, match="is not a coding sequence"):
        consequences(coding)


def test_areas_are_of_lower_scores_and_stay_within_a_codon_position():
    kinds = np.array(["stop gained", "synonymous", "synonymous", "missense"] * 20)
    scores = {"good": np.array([-2.0, 0.0, -3.0, -1.0] * 20)}
    offsets = np.repeat(np.arange(20) * 3, 4) + np.array([2, 2, 0, 1] * 20)
    found = {(row["lower"], row["higher"], row["codon_positions"]): row
             for row in areas(scores, kinds, offsets, seed=0)}  # fmt: skip
    every = found["stop gained", "synonymous", "all"]
    assert (every["auroc"], every["n_lower"], every["n_higher"]) == (0.5, 20, 40)
    assert found["stop gained", "synonymous", "third"]["auroc"] == 1.0
    assert found["stop gained", "missense", "all"]["auroc"] == 1.0
    assert found["missense", "synonymous", "all"]["interval"] is not None


def test_markov_ratios_are_the_same_on_the_other_strand():
    letters = toys.letters(2000)
    markov = fit_markov([DNA_VOCABULARY.to_bases(DNA_VOCABULARY.encode(letters).tokens)])
    part = letters[:40]
    ratios = markov_ratios(markov, part)
    assert ratios.shape == (40 - 2 * AROUND, 4)
    own = [DNA.bases.index(letter) for letter in part[AROUND:-AROUND]]
    assert np.all(ratios[np.arange(len(own)), own] == 0)
    turned = markov_ratios(markov, DNA.reverse_complement(part))
    np.testing.assert_allclose(turned[::-1, ::-1], ratios)


def test_a_table_of_the_command_is_read_back(tmp_path):
    gene = Interval("K-12-MG1655", 4_179_267, 4_179_297)
    reference = open_reference(genome_path("asset:ecoli"), cache=tmp_path)
    letters = reference.fetch(gene)
    values = saturation_mutagenesis(load(), reference, gene, window=64, mode="gradient")
    table = tmp_path / "table.tsv"
    rows = [
        f"{gene.contig}\t{gene.start + i}\t{ref}\t{alt}\tgene\t{values[i, j]}"
        for i, ref in enumerate(letters)
        for j, alt in enumerate(DNA.bases)
        if alt != ref
    ]
    head = "contig\tposition\tref\talt\tregion\tllr_gradient"
    table.write_text("\n".join([head, *rows]) + "\n")
    np.testing.assert_allclose(read_ratios(table, gene, letters)["llr_gradient"], values)
    with pytest.raises(typer.BadParameter, match="is of another genome: base 4179267"):
        read_ratios(table, gene, "C" + letters[1:])
    table.write_text("\n".join([head, *rows[:-1]]) + "\n")
    with pytest.raises(typer.BadParameter, match="lacks a finite llr_gradient of some base"):
        read_ratios(table, gene, letters)


def test_a_gene_that_the_model_was_trained_on_is_refused(tmp_path):
    with pytest.raises(typer.BadParameter, match=r"does not show that .* was held out"):
        main(tmp_path / "t.tsv", tmp_path / "o.json", gene="K-12-MG1655:1000-1299")


def test_the_documentation_has_the_figures_of_the_kept_report():
    docs = Path(__file__).parents[1] / "docs"
    report = json.loads((docs / "variants" / "rpob.json").read_text())
    page = (docs / "variants.md").read_text().replace("**", "")
    for row in report["areas"]:
        low, high = row["interval"]
        ends = "" if low == high else f" [{low:.3f}, {high:.3f}]"
        assert f"| {row['auroc']:.3f}{ends} |" in page
    assert f"over the {report['n_codons']:,} codons" in page
    assert report["counts"] == {"missense": 8850, "synonymous": 2846, "stop gained": 373}
