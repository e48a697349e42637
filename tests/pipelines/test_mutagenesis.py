"""A table holds every substitution of every region, whatever was interrupted; figures show it."""

import json

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.inference.predictor import Predictor
from megabase.io.tables import read_table
from megabase.model.load import save
from megabase.pipelines import mutagenesis as module
from megabase.pipelines.mutagenesis import mutagenesis
from megabase.pipelines.pipeline import Journal
from megabase.pipelines.sequences import open_regions
from megabase.runtime.artifacts import exclusive_lock
from tests import toys

LETTERS = toys.letters(80) + "NN" + toys.letters(18, seed=1).lower()
REGIONS = [("chrI", 75, 87, "a/b c", "+"), ("chrI", 0, 3, "second", "-")]


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BASES_PER_PART", {"exact": 4, "gradient": 8})
    save(toys.model(), tmp_path / "model")
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": LETTERS, "n": "N" * 50})
    bed = write_bed(tmp_path / "regions.bed", REGIONS)
    return [str(tmp_path / "model"), str(genome), bed], tmp_path


def write_bed(path, regions):
    lines = [f"{c}\t{start}\t{end}\t{name}\t0\t{s}\n" for c, start, end, name, s in regions]
    path.write_text("".join(lines))
    return path


def read(path):
    with path.open() as file:
        return list(read_table(file, ["contig"], name=str(path)))


def test_every_base_but_n_is_changed_to_every_other(paths):
    (model, genome, bed), folder = paths
    mutagenesis(model, genome, bed, folder / "t.tsv", mode="both", window=16)
    rows = read(folder / "t.tsv")
    expected = [
        ("chrI", str(position), ref, alt, name)
        for contig, start, end, name, _ in REGIONS
        for position, ref in enumerate(LETTERS[start:end].upper(), start)
        for alt in "ACGT"
        if ref != "N" and alt != ref
    ]
    assert [tuple(row.values())[:5] for row in rows] == expected
    predictor = Predictor.load(model)
    reference, (record, _) = open_regions(genome, bed)
    for mode, column in (("exact", "llr"), ("gradient", "llr_gradient")):
        ratios = predictor.saturation_mutagenesis(reference, record.interval, window=16, mode=mode)
        for row in [row for row in rows if row["region"] == "a/b c"]:
            value = ratios[int(row["position"]) - 75, "ACGT".index(row["alt"])]
            assert float(row[column]) == pytest.approx(value, rel=1e-7)


def test_the_correlation_of_the_modes_is_in_the_record(paths, caplog):
    (model, genome, bed), folder = paths
    caplog.set_level("INFO", logger="megabase")
    mutagenesis(model, genome, bed, folder / "t.tsv", mode="both")
    results = json.loads((folder / "t.tsv.megabase.json").read_text())["results"]
    exact, estimate = (
        np.array([float(row[column]) for row in read(folder / "t.tsv")])
        for column in ("llr", "llr_gradient")
    )
    assert results["n_substitutions"] == len(exact)
    pearson = results["correlation"]["pearson"]
    assert pearson["value"] == pytest.approx(np.corrcoef(exact, estimate)[0, 1], rel=1e-5)
    assert pearson["interval"][0] < pearson["value"] < pearson["interval"][1]
    assert "pearson of gradient and exact: " in caplog.text
    assert "a/b c: 2 of 12 bases are not A C G T and have no row" in caplog.text
    assert "some regions are on the reverse strand" in caplog.text
    assert "exact: 120 windows of 64 bases, strand average: about" in caplog.text
    assert "GiB at the peak" in caplog.text


def test_without_scored_substitutions_the_correlation_is_undefined(paths, caplog):
    caplog.set_level("INFO", logger="megabase")
    (model, _, _), folder = paths
    genome = toys.write_fasta(folder / "n.fa", {"chrI": "N" * 60 + "A" + "N" * 60})
    bed = write_bed(folder / "n.bed", [("chrI", 58, 63, "lone", "+")])
    mutagenesis(model, str(genome), bed, folder / "n.tsv", mode="both")
    results = json.loads((folder / "n.tsv.megabase.json").read_text())["results"]
    assert results["n_substitutions"] == 0
    assert results["correlation"]["spearman"] == {"value": None, "interval": None}
    assert [row["llr"] for row in read(folder / "n.tsv")] == ["nan"] * 3
    assert "3 of 3 substitutions are NaN: more than half of a window" in caplog.text


def test_two_processes_do_not_make_one_table(paths):
    arguments, folder = paths
    with (
        exclusive_lock(folder / "t.tsv", is_folder=False),
        pytest.raises(InputError, match="another process is writing"),
    ):
        mutagenesis(*arguments, folder / "t.tsv")


def test_figures_are_drawn_from_the_table_also_later(paths, monkeypatch):
    pytest.importorskip("logomaker")
    arguments, folder = paths
    drawn = []
    monkeypatch.setattr(
        module, "draw_mutagenesis", lambda ratios, letters, path, **_: (
            path.write_text("x"), drawn.append((ratios, letters)))
    )  # fmt: skip
    mutagenesis(*arguments, folder / "t.tsv", window=16)
    monkeypatch.setattr(Journal, "append", None)  # nothing is computed again
    mutagenesis(*arguments, folder / "t.tsv", window=16, figures=folder / "figures")
    names = sorted(path.name for path in (folder / "figures").glob("*.png"))
    assert names == ["0001-a_b_c.png", "0002-second.png"]
    assert [letters for _, letters in drawn] == [LETTERS[75:87].upper(), LETTERS[:3]]
    reference, (record, _) = open_regions(*arguments[1:])
    ratios = Predictor.load(arguments[0]).saturation_mutagenesis(
        reference, record.interval, window=16
    )
    np.testing.assert_allclose(drawn[0][0], ratios, rtol=1e-6)


def test_a_table_that_was_changed_is_not_drawn(paths):
    pytest.importorskip("logomaker")
    arguments, folder = paths
    mutagenesis(*arguments, folder / "t.tsv", window=16)
    lines = (folder / "t.tsv").read_text().splitlines(keepends=True)
    (folder / "t.tsv").write_text("".join([lines[0], *lines[2:]]))
    with pytest.raises(InputError, match="rows of a/b c have changed since they were written"):
        mutagenesis(*arguments, folder / "t.tsv", window=16, figures=folder / "figures")


@pytest.mark.parametrize(
    ("regions", "options", "message"),
    [
        ([("chrI", 90, 101, "x", "+")], {}, "ends beyond its contig, which has 100 bp"),
        ([("chrII", 0, 5, "x", "+")], {}, "contig 'chrII' is not in"),
        ([("n", 5, 9, "blank", "+")], {}, r"blank \(n:\[5, 9\)\) holds no base but N"),
        ([], {}, "holds no interval; a line is contig, start, end"),
        (REGIONS, {"mode": "fast"}, "the mode must be one of exact, gradient, both; got 'fast'"),
        (REGIONS, {"strand": "-"}, "the strand must be one of average, forward; got '-'"),
        (REGIONS, {"window": 65}, "from 2 bases to the model's context of 64; got 65"),
        (REGIONS, {"figures": "t.tsv"}, "cannot be the table and the folder of figures"),
        (REGIONS, {"output": "regions.bed"}, "regions.bed is an input of this command"),
        (REGIONS, {"output": "t.tsv.gz"}, "remove .gz"),
        (REGIONS, {"output": "genome.fa/t.tsv"}, "genome.fa is not a folder"),
        (REGIONS, {"figures": "genome.fa"}, "is a file, and the output is a folder"),
    ],
)
def test_invalid_options_are_an_error_before_anything_is_written(paths, regions, options, message):
    (model, genome, bed), folder = paths
    write_bed(bed, regions)
    before = sorted(folder.iterdir())
    output = folder / options.pop("output", "t.tsv")
    if "figures" in options:
        options["figures"] = folder / options["figures"]
    with pytest.raises(InputError, match=message):
        mutagenesis(model, genome, bed, output, **options)
    assert [path for path in sorted(folder.iterdir()) if path.suffix != ".fai"] == before


def test_a_figure_of_a_region_that_is_too_long_is_refused(paths, monkeypatch):
    pytest.importorskip("logomaker")
    monkeypatch.setattr(module, "MOST_BASES", 11)
    arguments, folder = paths
    with pytest.raises(
        InputError, match="a/b c has 12 bp, and a figure shows at most 11; split it"
    ):
        mutagenesis(*arguments, folder / "t.tsv", figures=folder / "figures")


def test_a_region_may_be_longer_than_the_context(paths):
    (model, genome, bed), folder = paths
    write_bed(bed, [("chrI", 0, 100, "all", "+")])
    mutagenesis(model, genome, bed, folder / "t.tsv", mode="gradient", window=32)
    assert len(read(folder / "t.tsv")) == 3 * 98


def test_a_missing_extra_is_named_before_any_work(paths, monkeypatch):
    arguments, folder = paths
    monkeypatch.setattr("megabase.report.mutagenesis_figure.find_spec", lambda name: None)
    monkeypatch.setattr(Predictor, "load", None)
    with pytest.raises(InputError, match=r"pip install 'megabase\[logo\]'"):
        mutagenesis(*arguments, folder / "t.tsv", figures=folder / "figures")
