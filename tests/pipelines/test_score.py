"""Sequences become a table or a track of likelihoods, each base in its place."""

import csv
import json
import math

import numpy as np
import pytest

from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.inference.likelihood import log_likelihoods, long_log_likelihoods
from megabase.model.load import save
from megabase.pipelines.pipeline import RunOptions
from megabase.pipelines.score import COLUMNS, score
from tests import toys

MODEL = toys.model()
CONTIGS = {"a": toys.letters(60), "b": "acgtNRacgt", "c": "NNN"}


@pytest.fixture
def model(tmp_path):
    save(MODEL, tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def fasta(tmp_path):
    return toys.write_fasta(tmp_path / "genes.fa", CONTIGS)


def values_of(letters):
    (values,) = log_likelihoods(MODEL, [DNA_VOCABULARY.encode(letters).tokens])
    return values


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def test_a_table_has_the_likelihood_of_each_sequence(model, fasta, tmp_path, caplog):
    caplog.set_level("INFO", logger="megabase")
    score(model, str(fasta), tmp_path / "scores.tsv")
    rows = read(tmp_path / "scores.tsv")
    assert list(rows[0]) == COLUMNS
    assert [(row["name"], row["length"], row["n_scored"]) for row in rows] == [
        ("a", "60", "60"),
        ("b", "10", "8"),
        ("c", "3", "0"),
    ]
    for row, letters in zip(rows[:2], CONTIGS.values(), strict=False):
        total = np.nansum(values_of(letters))
        assert float(row["log_likelihood"]) == pytest.approx(total, rel=1e-5)
        bits = -total / math.log(2) / int(row["n_scored"])
        assert float(row["bits_per_base"]) == pytest.approx(bits, rel=1e-5)
    assert rows[2]["bits_per_base"] == "nan"
    assert "1 ambiguous letters were read as N" in caplog.text


def test_intervals_of_a_bed_file_are_read_on_their_strand(model, tmp_path):
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": toys.letters(200)})
    (tmp_path / "genes.bed").write_text("chrI\t10\t60\tplus\nchrI\t100\t150\tminus\t0\t-\n")
    bed = str(tmp_path / "genes.bed")
    score(model, bed, tmp_path / "scores.tsv", genome=str(genome))
    plus, minus = read(tmp_path / "scores.tsv")
    letters = toys.letters(200)
    turned = DNA.reverse_complement(letters[100:150])
    assert (plus["name"], minus["name"]) == ("plus", "minus")
    assert float(minus["log_likelihood"]) == pytest.approx(values_of(turned).sum(), rel=1e-5)
    score(model, bed, tmp_path / "bases.bedgraph", genome=str(genome))
    lines = [line.split() for line in (tmp_path / "bases.bedgraph").read_text().splitlines()]
    assert len(lines) == 100
    assert lines[50][:3] == ["chrI", "100", "101"]
    found = [float(line[3]) for line in lines[50:]]
    np.testing.assert_allclose(found, values_of(turned)[::-1], rtol=1e-4)


def test_a_sequence_longer_than_the_context_is_an_error_and_nothing_is_written(model, tmp_path):
    fasta = toys.write_fasta(tmp_path / "long.fa", {"short": "ACGT", "long": toys.letters(65)})
    message = "long has 65 bp, and the model reads at most 64 at once; use --stride"
    with pytest.raises(ValueError, match=message):
        score(model, str(fasta), tmp_path / "scores.tsv")
    assert not (tmp_path / "scores.tsv").exists()


LONG = {"short": toys.letters(50), "long": toys.letters(200) + "N" + toys.letters(30, seed=1)}


def long_values_of(letters, stride):
    tokens = DNA_VOCABULARY.encode(letters).tokens
    (values,) = long_log_likelihoods(MODEL, [tokens], stride=stride)
    return values


def test_with_a_stride_a_long_sequence_is_read_in_windows(model, tmp_path, caplog):
    caplog.set_level("INFO", logger="megabase")
    fasta = toys.write_fasta(tmp_path / "long.fa", LONG)
    output = tmp_path / "scores.tsv"
    score(model, str(fasta), output, stride=16)
    for row, letters in zip(read(output), LONG.values(), strict=True):
        values = long_values_of(letters, 16)
        assert int(row["n_scored"]) == np.count_nonzero(~np.isnan(values))
        assert float(row["log_likelihood"]) == pytest.approx(np.nansum(values), rel=1e-5)
    assert (
        "1 of 2 sequences are longer than the context; windows of 64 bp every 16 bp: at least "
        "48 bp precede a base"
    ) in caplog.text
    assert "scoring: 13 windows" in caplog.text
    record = json.loads((tmp_path / "scores.tsv.megabase.json").read_text())
    assert record["results"] == {
        "stride": 16, "least_context": 48, "n_cut": 1, "device": "cpu"
    }  # fmt: skip
    assert (record["request"]["stride"], record["request"]["strand"]) == (16, "forward")
    with pytest.raises(ValueError, match="stride was 16, is 32"):
        score(model, str(fasta), output, stride=32)


def test_a_track_of_a_long_sequence_is_the_mean_of_both_strands_base_by_base(model, tmp_path):
    fasta = toys.write_fasta(tmp_path / "long.fa", LONG)
    score(model, str(fasta), tmp_path / "a.bg", stride=32, strand="average")
    score(model, str(fasta), tmp_path / "a.tsv", stride=32, strand="average")
    lines = [line.split() for line in (tmp_path / "a.bg").read_text().splitlines()]
    rows = read(tmp_path / "a.tsv")
    for row, (name, letters) in zip(rows, LONG.items(), strict=True):
        reverse = long_values_of(DNA.reverse_complement(letters), 32)[::-1]
        expected = (long_values_of(letters, 32) + reverse) / 2
        found = np.full(len(letters), np.nan)
        for _, start, _, value in (line for line in lines if line[0] == name):
            found[int(start)] = float(value)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        assert float(row["log_likelihood"]) == pytest.approx(np.nansum(expected), rel=1e-5)


def test_a_stride_changes_no_byte_where_nothing_is_long(model, fasta, tmp_path, caplog):
    caplog.set_level("INFO", logger="megabase")
    score(model, str(fasta), tmp_path / "plain.tsv")
    score(model, str(fasta), tmp_path / "stride.tsv", stride=7)
    assert (tmp_path / "plain.tsv").read_bytes() == (tmp_path / "stride.tsv").read_bytes()
    assert "no sequence is longer than the context" in caplog.text


def test_the_limit_of_memory_is_for_sequence_and_model_together(model, fasta, monkeypatch):
    monkeypatch.setattr("megabase.pipelines.score._BYTES_A_BASE", 1 << 24)  # 0.94 GiB for 60 bases
    with pytest.raises(ValueError, match=r"alone take about 0\.4 GiB, .* limit is 0\.0625 GiB"):
        score(
            model,
            str(fasta),
            fasta.with_name("a.tsv"),
            stride=7,
            options=RunOptions(max_memory_gib=1.0),
        )


def test_an_invalid_letter_is_an_error_with_its_sequence_and_leaves_nothing(model, tmp_path):
    fasta = toys.write_fasta(tmp_path / "odd.fa", {"good": "ACGT", "odd": "ACGE"})
    with pytest.raises(ValueError, match=r"'E' at position 3 .* of odd"):
        score(model, str(fasta), tmp_path / "scores.tsv")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("scores", ".scores"))]


@pytest.mark.parametrize("stride", [None, 2])
def test_every_read_is_scored_in_order_though_names_repeat(model, tmp_path, stride):
    pairs = {"r1": ["ACGTACGT", "GGATC"], "r2": ["TTTTT", "CA"]}
    records = [(name, text) for name, texts in pairs.items() for text in texts]
    fastq = "".join(f"@{name}\n{text}\n+\n{'I' * len(text)}\n" for name, text in records)
    (tmp_path / "pairs.fastq").write_text(fastq)
    (tmp_path / "pairs.fa").write_text("".join(f">{name}\n{text}\n" for name, text in records))
    for name in ("pairs.fastq", "pairs.fa"):
        score(model, str(tmp_path / name), tmp_path / f"{name}.tsv", stride=stride)
        rows = read(tmp_path / f"{name}.tsv")
        assert [row["name"] for row in rows] == ["r1", "r1", "r2", "r2"]
        found = [float(row["log_likelihood"]) for row in rows]
        expected = [values_of(text).sum() for _, text in records]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="overlap, and a track"):
        score(model, str(tmp_path / "pairs.fa"), tmp_path / "pairs.bg")


def test_blocks_of_ten_are_scored_as_the_letters_they_hold(model, tmp_path):
    text = toys.letters(60)
    blocks = " ".join(text[start : start + 10] for start in range(0, 60, 10))
    (tmp_path / "blocks.fa").write_text(f">chr1\n{blocks[:33]}\n\n{blocks[33:]} \n")
    toys.write_fasta(tmp_path / "plain.fa", {"chr1": text})
    (tmp_path / "in.bed").write_text("chr1\t12\t18\n")
    for name in ("blocks", "plain"):
        score(model, str(tmp_path / f"{name}.fa"), tmp_path / f"{name}.tsv")
    assert (tmp_path / "blocks.tsv").read_bytes() == (tmp_path / "plain.tsv").read_bytes()
    bed, genome = str(tmp_path / "in.bed"), str(tmp_path / "blocks.fa")
    with pytest.raises(ValueError, match=r"blocks.fa, line 2, column 11: white space .* 'chr1'"):
        score(model, bed, tmp_path / "o.tsv", genome=genome)
    assert not (tmp_path / "o.tsv").exists()


def test_intervals_that_overlap_make_no_track(model, tmp_path):
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": toys.letters(200)})
    (tmp_path / "genes.bed").write_text("chrI\t10\t60\nchrI\t50\t90\n")
    bed = str(tmp_path / "genes.bed")
    with pytest.raises(ValueError, match="overlap, and a track"):
        score(model, bed, tmp_path / "bases.bg", genome=str(genome))
    score(model, bed, tmp_path / "scores.tsv", genome=str(genome))


@pytest.mark.parametrize(
    ("bed", "message"),
    [("chrI\t190\t201\n", "ends beyond"), ("I\t0\t5\n", "did you mean 'chrI'")],
)
def test_an_interval_that_is_not_of_the_genome_is_an_error(model, tmp_path, bed, message):
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": toys.letters(200)})
    (tmp_path / "genes.bed").write_text(bed)
    with pytest.raises(ValueError, match=message):
        score(model, str(tmp_path / "genes.bed"), tmp_path / "scores.tsv", genome=str(genome))


def test_a_genome_goes_with_a_bed_file_and_only_with_one(model, fasta, tmp_path):
    (tmp_path / "genes.bed").write_text("a\t0\t5\n")
    with pytest.raises(ValueError, match="need their genome; give it by --genome"):
        score(model, str(tmp_path / "genes.bed"), tmp_path / "scores.tsv")
    with pytest.raises(ValueError, match="--genome goes with a BED file"):
        score(model, str(fasta), tmp_path / "scores.tsv", genome=str(fasta))


def test_the_same_request_is_not_answered_twice(model, fasta, tmp_path):
    output = tmp_path / "scores.tsv"
    score(model, str(fasta), output)
    before = output.stat().st_mtime_ns
    score(model, str(fasta), output)
    assert output.stat().st_mtime_ns == before
    other = toys.write_fasta(tmp_path / "other.fa", {"a": "ACGT"})
    with pytest.raises(ValueError, match="another request"):
        score(model, str(other), output)
    score(model, str(other), output, options=RunOptions(overwrite=True))
    assert len(read(output)) == 1


def test_the_suffix_of_a_table_decides_on_commas_or_tabs_or_is_refused(model, fasta, tmp_path):
    for name in ("o.tsv", "o.csv"):
        score(model, str(fasta), tmp_path / name)
    tabs, commas = ((tmp_path / name).read_text() for name in ("o.tsv", "o.csv"))
    assert commas == tabs.replace("\t", ",")
    for name, message in (
        ("o.parquet", "does not have the suffix of a table"),
        ("o.csv.gz", "remove .gz"),
    ):
        with pytest.raises(ValueError, match=message):
            score(model, str(fasta), tmp_path / name)
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("change", [{"stride": 16}, {"strand": "average"}, {"genome": "other.fa"}])
def test_each_option_that_decides_a_value_makes_another_request(model, tmp_path, change):
    genomes = {
        name: str(toys.write_fasta(tmp_path / name, {"chrI": toys.letters(50, seed)}))
        for seed, name in enumerate(("genome.fa", "other.fa"))
    }
    (tmp_path / "a.bed").write_text("chrI\t10\t40\n")
    ask = model, str(tmp_path / "a.bed"), tmp_path / "scores.tsv"
    score(*ask, genome=genomes["genome.fa"])
    keys = {"genome": "genome.fa"} | change
    (key,) = change
    with pytest.raises(ValueError, match=rf"another request \({key} was"):
        score(*ask, **(keys | {"genome": genomes[keys["genome"]]}))


GENES = (
    'a\tx\texon\t31\t40\t.\t-\t.\ttranscript_id "t1";\n'
    'a\tx\texon\t11\t25\t.\t-\t.\ttranscript_id "t1";\n'
    'a\tx\texon\t1\t9\t.\t+\t.\ttranscript_id "t2";\n'
)
BLOCKS = "a\t10\t40\tt1\t0\t-1\t10\t40\t0\t2\t15,10\t0,20\na\t0\t9\tt2\t0\t1\t0\t0\t0\t1\t9\t0\n"


@pytest.mark.parametrize(("name", "text"), [("a.gtf", GENES), ("a.bed", BLOCKS)])
def test_spliced_sequences_have_the_scores_of_their_joined_exons(
    model, fasta, tmp_path, caplog, name, text
):
    caplog.set_level("INFO", logger="megabase")
    (tmp_path / name).write_text(text)
    output = tmp_path / "scores.tsv"
    score(model, str(tmp_path / name), output, genome=str(fasta), splice=True)
    rows = read(output)
    assert [(row["name"], row["length"]) for row in rows] == [("t1", "25"), ("t2", "9")]
    letters = CONTIGS["a"]
    joined = [DNA.reverse_complement(letters[10:25] + letters[30:40]), letters[:9]]
    for row, each in zip(rows, joined, strict=True):
        total = np.nansum(values_of(each))
        assert float(row["log_likelihood"]) == pytest.approx(total, rel=1e-5)
    assert f"{name}: 2 sequences, spliced from 3 exons" in caplog.text
    assert "introns between them" not in caplog.text
    assert json.loads((tmp_path / "scores.tsv.megabase.json").read_text())["request"]["splice"]


@pytest.mark.parametrize(
    ("name", "output", "options", "message"),
    [
        ("a.gtf", "o.tsv", {}, "GTF or GFF3 file: --splice with --genome joins"),
        ("a.gtf", "o.tsv", {"splice": True, "genome": None}, "need their genome"),
        ("a.gtf", "o.bedgraph", {"splice": True}, "o.bedgraph is a track"),
        ("genes.fa", "o.tsv", {"splice": True}, "--splice goes with BED12, GTF or GFF3; got"),
    ],
)
def test_what_cannot_be_spliced_is_refused(model, fasta, tmp_path, name, output, options, message):
    (tmp_path / "a.gtf").write_text(GENES)
    options = {"genome": str(fasta)} | options
    with pytest.raises(ValueError, match=message):
        score(model, str(tmp_path / name), tmp_path / output, **options)
    assert not (tmp_path / output).exists()
