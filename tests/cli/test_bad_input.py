"""Bad input gets one clear line, the right exit code, and leaves nothing half-written."""

import gzip
import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from megabase.model.load import save
from tests import toys
from tests.cli.command import run
from tests.full_disk import file_limit

MODEL = toys.model()


@pytest.fixture
def model(tmp_path):
    save(MODEL, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def genome(tmp_path):
    return toys.write_fasta(tmp_path / "genome.fa", {"chr1": toys.letters(3000)})


def refused(answer, message, code=2):
    """Whether the answer is one line with the message, and the exit code."""
    lines = [line for line in answer.err.splitlines() if line.startswith("megabase: error: ")]
    assert answer.code == code, answer.err
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in answer.err
    return True


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b">chr1\nACGTXACGT\n", "'X' at position 4"),
        (b">chr1\nAUGC\n", "'U' at position 1"),
        (b"chr1\nACGT\n", "at its start, got 'chr1'"),
    ],
)
@pytest.mark.parametrize("verb", ["pretrain", "score"])
def test_a_bad_fasta(capsys, model, tmp_path, verb, content, message):
    fasta = write(tmp_path / "bad.fa", content)
    options = {
        "pretrain": ["--genome", fasta, "--context-length", 2, "--steps", 1],
        "score": ["--model", model, "--input", fasta],
    }
    output = tmp_path / {"pretrain": "output", "score": "output.tsv"}[verb]
    assert refused(run(capsys, verb, *options[verb], "--output", output), message)
    assert not output.exists()


def test_a_genome_that_has_a_name_twice_or_is_of_another_format(capsys, tmp_path):
    for content, message in (
        (b">chr1\nACGT\n>chr1\nAC\n", "'chr1' is in the file twice"),
        (b"@r\nACGT\n+\nIIII\n", "is FASTQ; expected a genome: FASTA"),
    ):
        fasta = write(tmp_path / "genome.fa", content)
        answer = run(capsys, "pretrain", "--genome", fasta, "--output", tmp_path / "model")
        assert refused(answer, message)


def test_a_truncated_gzip(capsys, tmp_path):
    whole = gzip.compress(f">chr1\n{toys.letters(5000)}\n".encode())
    fasta = write(tmp_path / "genome.fa.gz", whole[: len(whole) // 2])
    answer = run(capsys, "pretrain", "--genome", fasta, "--output", tmp_path / "model")
    assert refused(answer, "is truncated")


def test_control_characters_of_an_input_are_escaped_in_the_error_line(capsys, tmp_path):
    table = write(tmp_path / "train.csv", b"seq\x07\x1b[31m,label\nACGT,a\n")
    answer = run(capsys, "finetune", "--train", table, "--output", tmp_path / "out")
    assert refused(answer, r"it has seq\x07\x1b[31m, label")
    assert answer.err.strip().isprintable()


def test_a_long_text_of_an_input_is_cut_in_the_error_line(capsys, tmp_path):
    table = write(tmp_path / "train.csv", f"{'A' * 90_000},label\nACGT,a\n")
    answer = run(capsys, "finetune", "--train", table, "--output", tmp_path / "out")
    assert refused(answer, "has no column 'sequence'; it has AAA")
    assert "characters ...] " in answer.err
    assert len(answer.err) < 1100


def test_a_missing_file(capsys, model, tmp_path):
    options = ["--model", model, "--output", tmp_path / "scores.tsv"]
    assert refused(
        run(capsys, "score", "--input", tmp_path / "no.fa", *options), "there is no file"
    )
    assert refused(run(capsys, "score", "--input", "asset:yeast", *options), "asset:ecoli")


@pytest.mark.parametrize(
    ("bed", "message"),
    [
        ("chr1\t2990\t3001\n", "ends beyond its contig, which has 3,000 bp"),
        ("1\t0\t50\n", "did you mean 'chr1'"),
        ("chr1\t50\t50\n", "line 1: an interval needs 0 <= start < end"),
        ("chr1\tfirst\tlast\n", "line 1: expected contig, start and end"),
        ("", "holds no interval"),
    ],
)
def test_a_bad_bed(capsys, model, genome, tmp_path, bed, message):
    path = write(tmp_path / "regions.bed", bed)
    scored = ["score", "--model", model, "--input", path, "--output", tmp_path / "scores.tsv"]
    evaluated = ["evaluate", "perplexity", "--model", model, "--regions", path]
    for verb in (scored, evaluated):
        assert refused(run(capsys, *verb, "--genome", genome), message)


def test_a_sequence_longer_than_the_context(capsys, model, genome, tmp_path):
    options = ["--model", model, "--input", genome, "--output", tmp_path / "scores.tsv"]
    assert refused(
        run(capsys, "score", *options), "chr1 has 3,000 bp, and the model reads at most 64"
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--stride", 0], "from 1 to the context of 64 tokens, got 0"),
        (["--stride", 65], "from 1 to the context of 64 tokens, got 65"),
        (["--strand", "both"], "the strand must be one of average, forward; got 'both'"),
    ],
)
def test_an_invalid_stride_or_strand_is_an_error(capsys, model, genome, tmp_path, option, message):
    options = ["--model", model, "--input", genome, "--output", tmp_path / "scores.tsv"]
    assert refused(run(capsys, "score", *options, *option), message)
    assert not (tmp_path / "scores.tsv").exists()
    assert run(capsys, "score", *options, "--stride", 64).code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "stepz=3"], "unknown configuration key 'stepz'; did you mean 'steps'"),
        (["--preset", "huge"], "preset must be one of"),
        (["--steps", "0"], "'steps'"),
        (["--config", "none.yaml"], "no configuration file"),
        (["--context-length", "4000"], "lower the context length"),
        (["--set", "split.test_contigs=[chr2]"], "did you mean 'chr1'"),
    ],
)
def test_a_bad_configuration(capsys, genome, tmp_path, options, message):
    output = tmp_path / "model"
    answer = run(capsys, "pretrain", "--genome", genome, "--output", output, *options)
    assert refused(answer, message)
    assert not output.exists()


def test_an_output_of_someone_else(capsys, model, genome, tmp_path):
    precious = write(tmp_path / "precious.txt", "mine")
    genes = toys.write_fasta(tmp_path / "genes.fa", {"a": "ACGT"})
    options = ["--model", model, "--input", genes, "--output", precious]
    assert refused(run(capsys, "score", *options), "--overwrite")
    assert precious.read_text() == "mine"
    training = ["--genome", genome, "--steps", 1, "--output", tmp_path]
    assert refused(run(capsys, "pretrain", *training), "was not made by megabase")


def test_an_output_of_another_configuration(capsys, genome, tmp_path):
    options = ["--genome", genome, "--output", tmp_path / "model", "--context-length", 32]
    small = ["--set", "tokens_per_step=64", "--set", "validations=0"]
    assert run(capsys, "pretrain", *options, *small, "--steps", 1).code == 0
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert refused(
        run(capsys, "pretrain", *options, *small, "--steps", 2), "config.steps was 1, is 2"
    )
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == weights
    assert run(capsys, "pretrain", *options, *small, "--steps", 2, "--overwrite").code == 0
    assert (tmp_path / "model" / "model.safetensors").read_bytes() != weights


def test_an_output_of_another_command(capsys, model, genome, tmp_path):
    assert run(capsys, "convert", "--input", model, "--output", tmp_path / "copy").code == 0
    answer = run(
        capsys, "pretrain", "--genome", genome, "--steps", 1, "--output", tmp_path / "copy"
    )
    assert refused(answer, "command was 'convert', is 'pretrain'")


def test_tensors_that_do_not_fit(capsys, model, tmp_path):
    path = model / "model.safetensors"
    save_file(load_file(path) | {"backbone.norm.bias": torch.zeros(9)}, path)
    answer = run(capsys, "convert", "--input", model, "--output", tmp_path / "copy")
    assert refused(answer, "backbone.norm.bias has shape (9,)")
    assert not (tmp_path / "copy").exists()


def test_a_pickle_of_something_else_than_a_checkpoint(capsys, model, tmp_path):
    torch.save(["no", "tensors"], model / "weights.ckpt")
    answer = run(
        capsys, "convert", "--input", model / "weights.ckpt", "--output", tmp_path / "copy"
    )
    assert refused(answer, "is not a checkpoint")


def test_a_place_that_cannot_be_written(capsys, model, genome, tmp_path):
    file = write(tmp_path / "file", "x")
    genes = toys.write_fasta(tmp_path / "genes.fa", {"a": "ACGT"})
    scored = run(capsys, "score", "--model", model, "--input", genes, "--output", file / "s.tsv")
    assert refused(scored, f"{file} is not a folder")
    converted = run(capsys, "convert", "--input", model, "--output", file)
    assert refused(converted, "is a file, and the output is a folder")
    scored = run(capsys, "score", "--model", model, "--input", genes, "--output", tmp_path)
    assert refused(scored, "is a folder, and the output is a file")


def test_an_output_that_is_an_input(capsys, model, tmp_path):
    genes = toys.write_fasta(tmp_path / "genes.fa", {"a": "ACGT"})
    before = genes.read_bytes()
    options = {"--model": model, "--input": genes, "--output": genes}
    flat = [str(text) for pair in options.items() for text in pair]
    assert refused(run(capsys, "score", *flat, "--overwrite"), "is an input of this command")
    assert genes.read_bytes() == before
    over = run(capsys, "convert", "--input", model, "--output", model, "--overwrite")
    assert refused(over, "is the model to convert")


def test_a_bed_file_that_is_cut_short_or_no_text(capsys, model, genome, tmp_path):
    whole = gzip.compress(b"chr1\t0\t50\n" * 100)
    for name, content, message in (
        ("cut.bed.gz", whole[: len(whole) // 2], "is truncated or damaged"),
        ("latin.bed", b"chr1\t0\t5\t\xff\n", "line 1: byte 0xff is not UTF-8"),
    ):
        options = {"--input": write(tmp_path / name, content), "--output": tmp_path / "s.tsv"}
        flat = [str(text) for pair in options.items() for text in pair]
        answer = run(capsys, "score", "--model", model, "--genome", genome, *flat)
        assert refused(answer, message)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--set", "x=["], "is not valid YAML"),
        (["--config", "."], "there is no configuration file"),
        (["--seed", "5000000000"], "less than 4294967296"),
        (["--set", "parallel=fsdp"], "FSDP needs accelerators"),
        (["--set", "start_length=32", "--steps", "2"], "has 5 stages before the last"),
        (["--set", "memory_gib=0.41"], "try gradient_checkpointing=true"),
    ],
)
def test_an_invalid_configuration_is_an_error(capsys, genome, tmp_path, option, message):
    if "memory_gib" in str(option):
        option = [*option, "--set", "gradient_checkpointing=false"]
    answer = run(capsys, "pretrain", "--genome", genome, "--output", tmp_path / "m", *option)
    assert refused(answer, message)
    assert not (tmp_path / "m").exists()


def test_fsdp_of_a_launcher_without_an_accelerator(capsys, genome, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    answer = run(capsys, "pretrain", "--genome", genome, "--output", tmp_path / "m")
    assert refused(answer, "FSDP needs accelerators")


def test_a_model_that_has_diverged(capsys, genome, tmp_path):
    broken = toys.model()
    broken.backbone.norm.weight.data[0] = torch.nan
    save(broken, tmp_path / "broken")
    genes = toys.write_fasta(tmp_path / "genes.fa", {"a": "ACGT"})
    output = tmp_path / "s.tsv"
    answer = run(
        capsys, "score", "--model", tmp_path / "broken", "--input", genes, "--output", output
    )
    assert refused(answer, "the model's output is NaN", code=1)
    assert not output.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(capsys, model, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    answer = run(capsys, "convert", "--input", model, "--output", folder / "copy")
    assert refused(answer, "Permission denied", code=1)


def test_a_disk_that_is_full_leaves_the_old_file_whole(capsys, model, tmp_path):
    output = tmp_path / "copy"
    command = ["convert", "--output", output]
    assert run(capsys, *command, "--input", model).code == 0
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    save(toys.model(seed=1), tmp_path / "other")
    with file_limit(10_000):
        answer = run(capsys, *command, "--input", tmp_path / "other", "--overwrite")
    assert refused(answer, "megabase: error: the weights could not be written", code=1)
    after = {path.name: path.read_bytes() for path in output.iterdir()}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed <= {"megabase.json"}
    assert not json.loads(after["megabase.json"])["finished"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score", "--stride", "x"], "Invalid value for '--stride'"),
        (["score", "--nope"], "No such option: --nope"),
        (["score"], "Missing option '--input'"),
        (["evaluate", "perplexity", "--protocol", "paper"], "No such option: --protocol"),
    ],
)
def test_misused_options_are_one_line_that_names_the_help(capsys, words, message):
    answer = run(capsys, *words)
    assert refused(answer, message)
    assert len(answer.err.splitlines()) == 1
    assert "--help lists the options" in answer.err


def test_without_a_verb_the_help_is_shown(capsys):
    answer = run(capsys)
    assert answer.code == 2
    assert "Usage: megabase" in answer.out + answer.err
