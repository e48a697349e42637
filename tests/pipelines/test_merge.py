"""Merged shards are what the request without shards writes, to the byte; or one clear error."""

import json
from pathlib import Path

import pytest

from megabase.errors import InputError
from megabase.model.load import save
from megabase.pipelines import tracks as module
from megabase.pipelines.embed import embed
from megabase.pipelines.merge import merge
from megabase.pipelines.mutagenesis import mutagenesis
from megabase.pipelines.pipeline import RunOptions, Shard
from megabase.pipelines.score_vcf import score_vcf
from megabase.pipelines.tracks import tracks
from tests import toys
from tests.vcf_files import vcf_text, write_vcf_file

LETTERS = {"chrI": toys.letters(400), "a": toys.letters(150, seed=1) + "NNN"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("merge")
    save(toys.model(), folder / "model")
    toys.write_fasta(folder / "genome.fa", LETTERS)
    sequences = {f"s{i}": toys.letters(20 + 5 * i, seed=i) for i in range(7)}
    toys.write_fasta(folder / "genes.fa", sequences)
    (folder / "regions.bed").write_text("chrI\t5\t11\tx\nchrI\t5\t11\ty\na\t140\t153\tz\n" * 2)
    alts = ["A,C,G,T", "T", ".", "<DEL>", "C,G", "*", "TTT"]
    rows = []
    for i in range(14):
        ref = LETTERS["chrI"][20 + 20 * i]
        some = [alt for alt in alts[i % 7].split(",") if alt != ref] or ["."]
        rows.append(("chrI", 21 + 20 * i, ref, ",".join(some), "DP=1"))
    write_vcf_file(folder / "in.vcf", vcf_text(rows))
    return folder


def run_verb(verb, folder, output, shard="1/1", deterministic=True, **options):
    model, genome = str(folder / "model"), str(folder / "genome.fa")
    run = RunOptions(shard=Shard.from_text(shard), deterministic=deterministic)
    options["options"] = run
    match verb:
        case "score-vcf":
            score_vcf(model, genome, str(folder / "in.vcf"), output, **options)
        case "embed":
            embed(model, str(folder / "genes.fa"), output, **options)
        case "embed alleles":
            embed(model, str(folder / "in.vcf"), output, genome=genome, **options)
        case "mutagenesis":
            regions = folder / "regions.bed"
            mutagenesis(model, genome, regions, output, window=16, **options)
        case "tracks":
            tracks(model, genome, output, **options)


def shards_of(verb, folder, where, suffix, n=3, **options):
    paths = [where / f"{i}-of-{n}{suffix}" for i in range(1, n + 1)]
    for i, path in enumerate(paths, start=1):
        run_verb(verb, folder, path, f"{i}/{n}", **options)
    return paths


def without_command(path):
    """Give the bytes, but for the command in a header, which is of the run."""
    lines = path.read_bytes().split(b"\n")
    return [line for line in lines if not line.startswith(b"##megabase_command=")]


@pytest.mark.parametrize(
    ("verb", "suffix", "options"),
    [
        ("score-vcf", ".vcf", {}),
        ("score-vcf", ".tsv", {}),
        ("embed", ".npz", {}),
        ("embed", ".npz", {"pooling": "window:8", "strand": "both"}),
        ("embed", ".parquet", {"pooling": "none"}),
        ("embed", ".h5", {"dtype": "float16"}),
        ("embed alleles", ".npz", {}),
        ("embed alleles", ".parquet", {}),
        ("mutagenesis", ".tsv", {}),
        ("mutagenesis", ".csv", {"mode": "both"}),
        ("tracks", ".bedgraph", {}),
        ("tracks", ".bw", {}),
    ],
)
def test_merged_shards_are_the_whole_to_the_byte(
    folder, tmp_path, monkeypatch, verb, suffix, options
):
    monkeypatch.setattr(module, "_TOKENS_PER_PART", 128)  # of a track: two windows
    run_verb(verb, folder, tmp_path / f"whole{suffix}", **options)
    paths = shards_of(verb, folder, tmp_path, suffix, **options)
    merged = tmp_path / f"merged{suffix}"
    merge(paths[::-1], merged)
    assert without_command(merged) == without_command(tmp_path / f"whole{suffix}")
    record, whole = (
        json.loads(Path(f"{path}.megabase.json").read_text())
        for path in (merged, tmp_path / f"whole{suffix}")
    )
    assert record["request"] == whole["request"]
    assert record["results"]["merged"] == [str(path) for path in paths]
    assert not list(tmp_path.glob(".*parts"))


@pytest.mark.parametrize(("suffix", "index"), [(".vcf.gz", ".tbi"), (".bcf", ".csi")])
def test_merged_variants_have_the_records_and_an_index(folder, tmp_path, suffix, index):
    pysam = pytest.importorskip("pysam.bcftools")
    run_verb("score-vcf", folder, tmp_path / f"whole{suffix}")
    paths = shards_of("score-vcf", folder, tmp_path, suffix)
    merge(paths, tmp_path / f"merged{suffix}")
    texts = [
        pysam.view("--no-version", str(tmp_path / f"{name}{suffix}")).splitlines()
        for name in ("merged", "whole")
    ]
    merged, whole = ([line for line in text if "_command=" not in line] for text in texts)
    assert merged == whole
    assert Path(f"{tmp_path / 'merged'}{suffix}{index}").exists()


def test_a_parquet_table_has_the_same_rows_and_notes(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run_verb("score-vcf", folder, tmp_path / "whole.parquet")
    merge(shards_of("score-vcf", folder, tmp_path, ".parquet"), tmp_path / "merged.parquet")
    whole, merged = (parquet.read_table(tmp_path / f"{n}.parquet") for n in ("whole", "merged"))
    assert merged.to_pylist() == whole.to_pylist()
    notes = [dict(table.schema.metadata) for table in (whole, merged)]
    for note in notes:
        del note[b"megabase_command"]
    assert notes[0] == notes[1]


@pytest.fixture(scope="module")
def parts(folder, tmp_path_factory):
    return shards_of("score-vcf", folder, tmp_path_factory.mktemp("parts"), ".tsv")


def test_every_shard_is_needed_exactly_once(folder, parts, tmp_path):
    first, second, third = parts
    output = tmp_path / "all.tsv"
    for some, message in (
        ([first, third], "1 shard is missing: 2/3"),
        ([second], "2 shards are missing: 1/3, 3/3"),
        ([first, second, third, second], "shard 2/3 is given twice"),
    ):
        with pytest.raises(InputError, match=message):
            merge(some, output)
    run_verb("score-vcf", folder, tmp_path / "other.tsv", "3/3", window=20)
    with pytest.raises(InputError, match=r"has a different request from .*: window was "):
        merge([first, second, tmp_path / "other.tsv"], output)
    run_verb("score-vcf", folder, tmp_path / "four.tsv", "3/4")
    with pytest.raises(InputError, match=r"is shard 3/4; shards of one merge"):
        merge([first, second, tmp_path / "four.tsv"], output)
    run_verb("score-vcf", folder, tmp_path / "whole.tsv")
    with pytest.raises(InputError, match="is not the output of a shard"):
        merge([first, second, tmp_path / "whole.tsv"], output)
    assert not output.exists()


def test_incomplete_parts_are_refused(parts, tmp_path):
    copies = [tmp_path / path.name for path in parts]
    for path, copy in zip(parts, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    output = tmp_path / "all.tsv"
    with pytest.raises(InputError, match="has no record"):
        merge(copies, output)
    for path, copy in zip(parts, copies, strict=True):
        Path(f"{copy}.megabase.json").write_text(Path(f"{path}.megabase.json").read_text())
    with pytest.raises(InputError, match="have different formats"):
        merge(copies, tmp_path / "all.vcf")
    whole = copies[1].read_bytes()
    for damaged in (whole[: whole.rstrip().rfind(b"\n") + 1], whole + whole.splitlines(True)[-1]):
        copies[1].write_bytes(damaged)
        with pytest.raises(InputError, match=r"2-of-3.tsv does not have the records that"):
            merge(copies, output)
        assert not output.exists()
    with pytest.raises(InputError, match="does not exist"):
        merge([*copies, tmp_path / "none.tsv"], output)
    with pytest.raises(InputError, match="is an input of this command"):
        merge(copies, copies[0], overwrite=True)
