"""Merged shards are what the request without shards writes, to the byte; or one clear error."""

import json
from pathlib import Path

import pytest

from megabase.errors import InputError
from megabase.pipelines.merge import merge
from megabase.pipelines.pipeline import RunOptions, Shard
from tests.pipelines.jobs import JOBS, run_job, without_command

OPTIONS = [
    ("score-vcf", ".tsv", {"distance": False}),
    ("embed sequences", ".npz", {}),
    ("embed sequences", ".npz", {"pooling": "window:8", "strand": "both"}),
    ("embed sequences", ".parquet", {"pooling": "none"}),
    ("embed sequences", ".h5", {"dtype": "float16"}),
    ("embed alleles", ".parquet", {}),
    ("mutagenesis twice", ".csv", {"mode": "both"}),
    ("tracks", ".bw", {}),
]
"""Jobs with formats and options that the other tests of jobs do without."""


def run_shards(job, files, where, suffix, **options):
    """Run the three shards of a job, and return their outputs."""
    paths = [where / f"{index}-of-3{suffix}" for index in (1, 2, 3)]
    for index, path in enumerate(paths, start=1):
        run_job(job, files, path, of_shard(f"{index}/3"), **options)
    return paths


def of_shard(text):
    return RunOptions(shard=Shard.from_text(text), deterministic=True)


@pytest.mark.parametrize(("job", "suffix", "options"), [*((*job, {}) for job in JOBS), *OPTIONS])
@pytest.mark.usefixtures("small_parts")
def test_merged_shards_are_the_whole_to_the_byte(files, tmp_path, job, suffix, options):
    run_job(job, files, tmp_path / f"whole{suffix}", of_shard("1/1"), **options)
    paths = run_shards(job, files, tmp_path, suffix, **options)
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
def test_merged_variants_have_the_records_and_an_index(files, tmp_path, suffix, index):
    pysam = pytest.importorskip("pysam.bcftools")
    run_job("score-vcf", files, tmp_path / f"whole{suffix}", of_shard("1/1"))
    merge(run_shards("score-vcf", files, tmp_path, suffix), tmp_path / f"merged{suffix}")
    texts = [
        pysam.view("--no-version", str(tmp_path / f"{name}{suffix}")).splitlines()
        for name in ("merged", "whole")
    ]
    merged, whole = ([line for line in text if "_command=" not in line] for text in texts)
    assert merged == whole
    assert Path(f"{tmp_path / 'merged'}{suffix}{index}").exists()


def test_a_parquet_table_has_the_same_rows_and_notes(files, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run_job("score-vcf", files, tmp_path / "whole.parquet", of_shard("1/1"))
    merge(run_shards("score-vcf", files, tmp_path, ".parquet"), tmp_path / "merged.parquet")
    whole, merged = (parquet.read_table(tmp_path / f"{n}.parquet") for n in ("whole", "merged"))
    assert merged.to_pylist() == whole.to_pylist()
    notes = [dict(table.schema.metadata) for table in (whole, merged)]
    for note in notes:
        del note[b"megabase_command"]
    assert notes[0] == notes[1]


@pytest.fixture(scope="module")
def parts(files, tmp_path_factory):
    return run_shards("score-vcf", files, tmp_path_factory.mktemp("parts"), ".tsv")


def test_every_shard_is_needed_exactly_once(files, parts, tmp_path):
    first, second, third = parts
    output = tmp_path / "all.tsv"
    for some, message in (
        ([first, third], "1 shard is missing: 2/3"),
        ([second], "2 shards are missing: 1/3, 3/3"),
        ([first, second, third, second], "shard 2/3 is given twice"),
    ):
        with pytest.raises(InputError, match=message):
            merge(some, output)
    run_job("score-vcf", files, tmp_path / "other.tsv", of_shard("3/3"), window=20)
    with pytest.raises(InputError, match=r"has a different request from .*: window was "):
        merge([first, second, tmp_path / "other.tsv"], output)
    run_job("score-vcf", files, tmp_path / "four.tsv", of_shard("3/4"))
    with pytest.raises(InputError, match=r"is shard 3/4; shards of one merge"):
        merge([first, second, tmp_path / "four.tsv"], output)
    run_job("score-vcf", files, tmp_path / "whole.tsv", of_shard("1/1"))
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
