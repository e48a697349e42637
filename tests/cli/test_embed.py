"""megabase embed: every sequence, interval and allele has its row, whatever was interrupted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.inference.choices import Pooling
from megabase.inference.hidden import embed
from megabase.model.load import save
from megabase.pipelines import embed as module
from tests import toys
from tests.cli.command import run
from tests.vcf_files import vcf_text, write_vcf_file

MODEL = toys.model()
LETTERS = toys.letters(300)
SEQUENCES = {f"s{i}": toys.letters(20 + i // 3, seed=i) for i in range(9)}


@pytest.fixture
def paths(tmp_path):
    save(MODEL, tmp_path / "model")
    fasta = toys.write_fasta(tmp_path / "in.fa", SEQUENCES)
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": LETTERS, "chrII": LETTERS})
    return SimpleNamespace(model=tmp_path / "model", fasta=fasta, genome=genome, folder=tmp_path)


@pytest.fixture
def command(capsys, paths):
    def embedded(source, name, *options):
        fixed = ["--model", paths.model, "--input", source, "--output", paths.folder / name]
        fixed.append("--deterministic")  # so that bits can be compared
        return run(capsys, "embed", *fixed, *options)

    return embedded


def expected(texts, pooling="mean", **options):
    tokens = [DNA_VOCABULARY.encode(text).tokens for text in texts]
    pool = Pooling.from_text(pooling)
    return list(embed(MODEL, tokens, pooling=pool, tokens_per_batch=1, **options))


def load(path):
    with np.load(path) as file:
        return dict(file)


def refused(answer, message, code=2):
    lines = [line for line in answer.err.splitlines() if line.startswith("megabase: error: ")]
    assert (answer.code, len(lines)) == (code, 1), answer.err
    assert message in lines[0]
    return True


def test_a_fasta_file_becomes_a_row_for_each_sequence(command, paths):
    answer = command(paths.fasta, "o.npz")
    assert (answer.code, answer.out) == (0, f"{paths.folder / 'o.npz'}\n")
    found = load(paths.folder / "o.npz")
    assert found["names"].tolist() == list(SEQUENCES)
    assert np.array_equal(found["embeddings"], expected(SEQUENCES.values()))
    assert "9 rows of 8 numbers in float32, about" in answer.err
    assert "GiB at the peak" in answer.err
    record = json.loads((paths.folder / "o.npz.megabase.json").read_text())
    assert (record["finished"], record["results"]["n_rows"]) == (True, 9)
    again = command(paths.fasta, "o.npz")
    assert (again.code, "is finished already" in again.err) == (0, True)
    assert refused(command(paths.fasta, "o.npz", "--layer", 1), "layer was 2, is 1")


def test_options_say_which_states_and_how_they_are_kept(command, paths):
    options = ["--pooling", "window:8", "--strand", "both", "--layer", 1, "--dtype", "float16"]
    assert command(paths.fasta, "o.npz", *options).code == 0
    found = load(paths.folder / "o.npz")
    rows = expected(SEQUENCES.values(), "window:8", strand="both", layer=1)
    assert found["embeddings"].dtype == np.float16
    assert found["offsets"].tolist() == [0, *np.cumsum([len(each) for each in rows])]
    assert np.array_equal(found["embeddings"], np.concatenate(rows).astype(np.float16))


def test_formats_hold_the_same(command, paths):
    h5py, parquet = pytest.importorskip("h5py"), pytest.importorskip("pyarrow.parquet")
    for name in ("o.npz", "o.h5", "o.parquet"):
        assert command(paths.fasta, name, "--pooling", "none").code == 0
    rows = load(paths.folder / "o.npz")["embeddings"]
    with h5py.File(paths.folder / "o.h5") as file:
        assert np.array_equal(file["embeddings"][:], rows)
    table = parquet.read_table(paths.folder / "o.parquet")
    assert np.array_equal(np.array(table["embedding"].to_pylist(), dtype=np.float32), rows)
    assert table["position"].to_pylist()[:21] == [*range(20), 0]


def test_intervals_are_read_on_their_strand(command, paths):
    (paths.folder / "in.bed").write_text("chrI\t10\t40\ta\t0\t-\nchrII\t5\t70\n")
    source, genome = paths.folder / "in.bed", ["--genome", paths.genome]
    assert refused(command(source, "o.npz", *genome), "--stride cuts it into windows")
    answer = command(source, "o.npz", *genome, "--stride", 32, "--strand", "forward")
    assert answer.code == 0
    assert "windows of 64 bp every 32 bp: at least 32 bp precede a base" in answer.err
    found = load(paths.folder / "o.npz")
    assert found["names"].tolist() == ["a", "chrII:5-70"]
    texts = [DNA.reverse_complement(LETTERS[10:40]), LETTERS[5:70]]
    rows = expected(texts, strand="forward", stride=32)
    assert np.array_equal(found["embeddings"], rows)


def test_transcripts_are_spliced(command, paths):
    exons = [(31, 40), (11, 20)]
    text = "".join(
        f'chrI\tx\texon\t{first}\t{last}\t.\t-\t.\ttranscript_id "t1";\n' for first, last in exons
    )
    (paths.folder / "in.gtf").write_text(text)
    source, genome = paths.folder / "in.gtf", ["--genome", paths.genome]
    assert refused(command(source, "o.npz", *genome), "--splice with --genome joins the exons")
    answer = command(source, "o.npz", *genome, "--splice")
    assert answer.code == 0, answer.err
    found = load(paths.folder / "o.npz")
    assert found["names"].tolist() == ["t1"]
    joined = DNA.reverse_complement(LETTERS[10:20] + LETTERS[30:40])
    assert np.array_equal(found["embeddings"], expected([joined]))
    vcf = write_vcf_file(paths.folder / "in.vcf", vcf_text([]))
    assert refused(command(vcf, "v.npz", *genome, "--splice"), "--splice goes with BED12")


def test_both_alleles_have_a_row_or_a_reason(command, paths):
    ref = LETTERS[99]
    alt = "A" if ref != "A" else "C"
    rows = [("chrI", 100, ref, f"{alt},<DEL>", "."), ("chrII", 150, LETTERS[149], ".", ".")]
    vcf = write_vcf_file(paths.folder / "in.vcf", vcf_text(rows))
    options = ["--genome", paths.genome, "--window", 20]
    for pooling in ("mean", "none"):
        answer = command(vcf, "o.npz", *options, "--pooling", pooling, "--overwrite")
        assert (answer.code, "with NaN and a skip_reason: 2 (symbolic 2)" in answer.err) == (
            0,
            True,
        )
        found = load(paths.folder / "o.npz")
        assert found["names"].tolist() == [
            f"chrI:100:{ref}>{change}:{allele}"
            for change in (alt, "<DEL>")
            for allele in ("ref", "alt")
        ]
        assert found["skip_reason"].tolist() == ["", "", "symbolic", "symbolic"]
        window = LETTERS[89:109]
        texts = [window, window[:10] + alt + window[11:]]
        shape = (-1, 8) if pooling == "mean" else (40, 8)
        ours = np.reshape(expected(texts, pooling), shape)
        assert np.array_equal(found["embeddings"][:-2], ours)
        assert np.isnan(found["embeddings"][-2:]).all()


def test_shards_together_are_the_plain_run(command, paths):
    assert command(paths.fasta, "o.npz").code == 0
    whole = load(paths.folder / "o.npz")
    for shard in (1, 2):
        assert command(paths.fasta, f"{shard}.npz", "--shard", f"{shard}/2").code == 0
        part = load(paths.folder / f"{shard}.npz")
        for name in ("embeddings", "names"):
            assert np.array_equal(part[name], whole[name][shard - 1 :: 2])
    reads = paths.folder / "reads.fastq"  # of one name: shards keep the order by number
    fastq = (f"@r\n{text}\n+\n{'I' * len(text)}\n" for text in SEQUENCES.values())
    reads.write_text("".join(fastq))
    for shard in (1, 2):
        assert command(reads, f"r{shard}.npz", "--shard", f"{shard}/2").code == 0
        part = load(paths.folder / f"r{shard}.npz")
        assert np.array_equal(part["embeddings"], whole["embeddings"][shard - 1 :: 2])
        assert set(part["names"].tolist()) == {"r"}
    answer = command(paths.fasta, "none.npz", "--shard", "10/10")
    assert (answer.code, load(paths.folder / "none.npz")["embeddings"].shape) == (0, (0, 8))


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(command, paths):
    texts = {f"s{i}": toys.letters(64, seed=i % 50) for i in range(1300)}
    fasta = toys.write_fasta(paths.folder / "many.fa", texts, width=64)
    output = paths.folder / "o.npz"
    cheap = ["--strand", "forward", "--layer", 1]
    options = ["--model", paths.model, "--input", fasta, "--output", output, *cheap]
    options.append("--deterministic")
    line = [sys.executable, "-m", "megabase", "embed", *map(str, options)]
    note = paths.folder / ".o.npz.parts" / "done.json"
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
        while not note.exists() and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert 0 < json.loads(note.read_text())["n_records"] < 1300
    assert not output.exists()
    with (note.parent / "lines").open("ab") as file:
        file.write(b"half a part")
    answer = command(fasta, "o.npz", *cheap)
    assert (answer.code, "records are done already" in answer.err) == (0, True)
    assert not note.parent.exists()
    plain = command(fasta, "plain.npz", *cheap)
    assert plain.code == 0
    assert output.read_bytes() == (paths.folder / "plain.npz").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", 3], "the layer must be from 0 (the embedding) to 2"),
        (
            ["--pooling", "average"],
            "the pooling must be none, mean, last, max, centre, or window:W",
        ),
        (["--strand", "-"], "the strand must be one of average, forward, both"),
        (["--dtype", "int8"], "the dtype must be one of float32, float16; got 'int8'"),
        (["--shard", "3/2"], "a shard must be i/n"),
        (["--stride", 65], "from 1 to the context of 64"),
        (["--window", 20], "--window goes with a VCF file"),
        (["--output", "o.csv"], "must end in .npz, .h5, .hdf5, .parquet"),
        (["--genome", "asset:ecoli"], "--genome goes with a BED file"),
    ],
)
def test_an_option_that_cannot_be_honoured(command, paths, options, message):
    assert refused(command(paths.fasta, "o.npz", *options), message)
    assert not list(paths.folder.glob("*o.npz*"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.bed", "chrI\t290\t301\n", "ends beyond its contig"),
        ("a.bed", "", "holds no interval"),
        ("a.vcf", vcf_text([("chrI", 301, "A", "T", ".")]), "ends beyond its contig"),
        ("a.vcf", vcf_text([("III", 9, "A", "T", ".")]), "contig 'III' of"),
        ("a.vcf", vcf_text([]), "has no alternative allele"),
        ("a.fa", "", "--genome goes with a BED file"),
    ],
)
def test_a_bad_input(command, paths, name, text, message):
    (paths.folder / name).write_text(text)
    answer = command(paths.folder / name, "o.npz", "--genome", paths.genome)
    assert refused(answer, message)
    assert not list(paths.folder.glob("*o.npz*"))


def test_a_record_that_is_not_in_the_genome_has_rows_with_its_reason(command, paths):
    ref = LETTERS[99]
    alt = "A" if ref != "A" else "C"
    odd = [("chrI", 0, "N", "A", "."), ("MT", 5, "A", "T", "."), ("chrI", 900, "A", "T", ".")]
    rows = [("chrI", 100, ref, alt, "."), *odd, ("chrI", 100, ref, alt, ".")]
    vcf = write_vcf_file(paths.folder / "in.vcf", vcf_text(rows))
    answer = command(vcf, "o.npz", "--genome", paths.genome, "--window", 20)
    assert answer.code == 0
    assert "(ambiguous 2; no_contig 2; outside 2)" in answer.err
    found = load(paths.folder / "o.npz")
    reasons = ["ambiguous", "no_contig", "outside"]
    assert found["skip_reason"].tolist() == ["", "", *np.repeat(reasons, 2), "", ""]
    assert found["names"].tolist()[2:4] == ["chrI:0:N>A:ref", "chrI:0:N>A:alt"]


def test_what_else_is_refused(command, paths, monkeypatch):
    (paths.folder / "empty.fa").write_text("")
    assert refused(command(paths.folder / "empty.fa", "o.npz"), "is empty")
    assert refused(command(paths.genome, "o.npz"), "300 bp, and the model reads at most 64")
    vcf = write_vcf_file(paths.folder / "in.vcf", vcf_text([("chrI", 9, LETTERS[8], "N", ".")]))
    assert refused(command(vcf, "o.npz"), "need their genome; give it by --genome")
    options = ["--genome", paths.genome, "--stride", 8]
    assert refused(command(vcf, "o.npz", *options), "--stride goes with FASTA or BED")
    assert refused(command(paths.fasta, "in.fa/o.npz"), "is not a folder")
    assert refused(command(paths.fasta, "in.fa"), "must end in .npz")
    monkeypatch.setattr("megabase.io.arrays.find_spec", lambda name: None)
    assert refused(command(paths.fasta, "o.h5"), "pip install 'megabase[hdf5]'")
    usage = shutil.disk_usage(paths.folder)._replace(free=600)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    assert refused(command(paths.fasta, "o.npz"), "0.6 KiB free; choose another disk")
    assert not list(paths.folder.glob("*o.npz*"))


def test_another_genome_or_map_of_contigs_is_another_request(command, paths):
    other = toys.write_fasta(paths.folder / "other.fa", {"chrI": LETTERS[::-1], "chrII": LETTERS})
    bed = paths.folder / "in.bed"
    bed.write_text("chrI\t10\t30\n")
    assert command(bed, "o.npz", "--genome", paths.genome).code == 0
    assert refused(command(bed, "o.npz", "--genome", other), "by another request (genome was")
    alt = "ACGT"["ACGT".index(LETTERS[0]) - 1]
    text = vcf_text([("chrII", 1, LETTERS[0], alt, "DP=3")])
    vcf = write_vcf_file(paths.folder / "in.vcf", text)
    mapped = paths.folder / "map.tsv"
    mapped.write_text("chrII\tchrI\n")
    assert command(vcf, "v.npz", "--genome", paths.genome).code == 0
    answer = command(vcf, "v.npz", "--genome", paths.genome, "--chrom-map", mapped)
    assert refused(answer, "by another request (contigs.chrII was")


def test_a_number_too_large_for_float16_is_an_error_that_leaves_nothing(command, paths):
    loud = toys.model()
    loud.backbone.norm.weight.data *= 1e6
    save(loud, paths.model)
    answer = command(paths.fasta, "o.npz", "--dtype", "float16")
    assert refused(answer, "too large for float16; use --dtype float32")
    assert not list(paths.folder.glob("*o.npz*"))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_the_rows_of_a_table_are_embedded_under_their_names(command, paths, suffix):
    table = {"id": list(SEQUENCES), "name": [f"gene {n}" for n in SEQUENCES]}
    source = paths.folder / f"in.{suffix}"
    if suffix == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({**table, "sequence": list(SEQUENCES.values())}), source)
    else:
        separator = "," if suffix == "csv" else "\t"
        rows = zip(*table.values(), SEQUENCES.values(), strict=True)
        lines = [("id", "name", "sequence"), *rows]
        source.write_text("".join(separator.join(line) + "\n" for line in lines))
    assert command(source, "o.npz").code == 0
    found = load(paths.folder / "o.npz")
    assert found["names"].tolist() == table["name"]
    np.testing.assert_allclose(found["embeddings"], expected(SEQUENCES.values()), rtol=1e-4)


def test_a_table_without_names_and_with_another_column_of_sequences(command, paths):
    source = paths.folder / "in.csv"
    source.write_text("dna|x\nACGTACGT|1\nGGCC|2\n")
    options = ["--sequence-column", "dna", "--delimiter", "|"]
    assert command(source, "o.npz", *options).code == 0
    assert load(paths.folder / "o.npz")["names"].tolist() == ["1", "2"]
    answer = command(paths.fasta, "p.npz", *options)
    assert refused(answer, "--sequence-column, --delimiter goes with a table")
    source.write_text(f"sequence\n{toys.letters(70)}\n")
    assert refused(command(source, "q.npz"), "row 1 has 70 bp, and the model reads at most 64")
    assert command(source, "q.npz", "--stride", 32).code == 0
