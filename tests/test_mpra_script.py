"""The comparison with a reporter assay reads its table and needs a held-out region."""

import gzip
import json

import numpy as np
import pytest
import typer
from scripts.mpra import main, markov_ratios, read_element

from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.metrics.markov import fit_markov
from megabase.model.load import save
from tests import toys

LETTERS = toys.letters(1000)


@pytest.fixture
def table(tmp_path):
    """Write all substitutions of twelve bases, a deletion, and one with few barcodes."""
    rows = [
        (position, LETTERS[position - 1], alt, 20, f"{0.1 * position % 1:.2f}")
        for position in range(951, 963)
        for alt in "ACGT"
        if alt != LETTERS[position - 1]
    ]
    rows += [(955, LETTERS[954], "-", 50, "1"), (951, LETTERS[950], "A", 9, "1")]
    lines = ["Chrom\tPos\tRef\tAlt\tBarcodes\tCoefficient\tElement\tRelease"]
    lines += ["chrI\t" + "\t".join(map(str, row)) + "\tE\tGRCh37" for row in rows]
    lines += ["chrI\t2\tA\tC\t50\t1\tE\tGRCh38"]
    path = tmp_path / "table.tsv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_deletions_and_few_barcodes_are_left_out_and_counted(table):
    measured = read_element(table, "E", "GRCh37")
    assert measured.region == Interval("chrI", 950, 962)
    assert (len(measured.effects), measured.n_deletions, measured.n_few_barcodes) == (36, 1, 1)
    assert [LETTERS[position] for position in measured.positions] == measured.refs


def test_the_markov_model_scores_both_strands():
    markov = fit_markov([DNA_VOCABULARY.to_bases(DNA_VOCABULARY.encode(LETTERS).tokens)])
    region = Interval("chrI", 50, 52)
    ratios = markov_ratios(markov, LETTERS[34:68], region)
    changed = LETTERS[:51] + "ACGT"[("ACGT".index(LETTERS[51]) + 1) % 4] + LETTERS[52:]

    def total(letters):
        tokens = DNA_VOCABULARY.encode(letters).tokens
        both = (tokens, DNA_VOCABULARY.reverse_complement(tokens))
        return sum(markov.log_probabilities(DNA_VOCABULARY.to_bases(each)).sum() for each in both)

    expected = (total(changed) - total(LETTERS)) / 2
    assert ratios[1, "ACGT".index(changed[51])] == pytest.approx(expected, abs=1e-9)
    assert ratios[1, "ACGT".index(LETTERS[51])] == 0


def test_it_reports_each_score_next_to_baselines(table, tmp_path, capsys):
    save(toys.model(), tmp_path / "model")
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": LETTERS})
    main(str(tmp_path / "model"), str(genome), table, element="E", release="GRCh37", window=16)
    report = json.loads(capsys.readouterr().out)
    assert report["n_substitutions"] == 36
    assert list(report["score and effect"])[:2] == ["exact", "gradient"]
    assert "(no interval)" in report["gradient and exact"]["pearson"]
    with pytest.raises(typer.BadParameter, match="has no element 'F'"):
        main(str(tmp_path / "model"), str(genome), table, element="F", release="GRCh37")
    other = toys.write_fasta(tmp_path / "other.fa", {"chrI": toys.letters(1000, seed=9)})
    with pytest.raises(
        typer.BadParameter, match="differs from the bases of the table; is it GRCh37"
    ):
        main(str(tmp_path / "model"), str(other), table, element="E", release="GRCh37")
    assert np.isfinite(float(report["score and effect"]["exact"]["spearman"].split()[0]))
