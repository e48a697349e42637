"""The quickstart, verb by verb: from a FASTA file to a model, its measure and its scores."""

import json
import subprocess
import sys

import pytest

from tests.cli.command import run
from tests.cli.test_bad_input import refused
from tests.toys import letters, write_fasta


@pytest.fixture
def genome(tmp_path):
    return write_fasta(tmp_path / "genome.fa", {"chrI": letters(4000)})


@pytest.fixture
def model(capsys, genome, tmp_path):
    output = tmp_path / "model"
    short = ["--set", "tokens_per_step=128", "--context-length", "64", "--steps", "2"]
    answer = run(capsys, "pretrain", "--genome", genome, "--output", output, *short)
    assert (answer.code, answer.out) == (0, f"{output}\n")
    return output


def test_pretrain_evaluate_score_info_convert(capsys, genome, model, tmp_path):
    report = run(capsys, "evaluate", "perplexity", "--model", model, "--genome", genome, "--json")
    assert 1.5 < json.loads(report.out)["model"]["bits_per_base"] < 3
    table = run(capsys, "evaluate", "perplexity", "-m", model, "-g", genome)
    assert "Markov, order" in table.out
    short = ["--context-length", 30, "--json"]
    report = run(capsys, "evaluate", "perplexity", "-m", model, "-g", genome, *short)
    assert json.loads(report.out)["context_length"] == 30
    genes = write_fasta(tmp_path / "genes.fa", {"a": letters(30)})
    scores = tmp_path / "scores.tsv"
    assert run(capsys, "score", "-m", model, "-i", genes, "-o", scores).out == f"{scores}\n"
    assert scores.read_text().startswith("name\tlength\t")
    track = tmp_path / "genome.bedgraph"
    assert run(capsys, "tracks", "-m", model, "-g", genome, "-o", track).out == f"{track}\n"
    assert len(track.read_text().splitlines()) == 4000
    about = json.loads(run(capsys, "info", "--model", model, "--length", 50, "--json").out)
    assert (about["parameters"], about["context_length"]) == (452_992, 64)
    assert about["made_by"].startswith("megabase pretrain --genome")
    assert "452,992" in run(capsys, "info", "--model", model).out
    converted = run(capsys, "convert", "-i", model, "-o", tmp_path / "hf", "--layout", "hf")
    assert refused(converted, "a released layout can only hold")
    assert not (tmp_path / "hf").exists()
    assert run(capsys, "convert", "-i", model, "-o", tmp_path / "plain").code == 0
    assert (tmp_path / "plain" / "model.safetensors").exists()


def test_the_same_command_again_is_logged_and_changes_nothing(capsys, genome, model):
    again = ["--set", "tokens_per_step=128", "--context-length", "64", "--steps", "2"]
    before = {path.name: path.stat().st_mtime_ns for path in model.iterdir()}
    answer = run(capsys, "pretrain", "--genome", genome, "--output", model, *again)
    assert answer.code == 0
    assert "is finished already by the same command" in answer.err
    assert {path.name: path.stat().st_mtime_ns for path in model.iterdir()} == before


def test_the_configuration_can_be_printed_and_read_back(capsys, genome, tmp_path):
    options = ["--genome", genome, "--output", tmp_path / "model", "--print-config"]
    printed = run(capsys, "pretrain", *options, "--set", "split.test_fraction=0.2").out
    assert "test_fraction: 0.2" in printed
    (tmp_path / "run.yaml").write_text(printed)
    again = run(capsys, "pretrain", "--config", tmp_path / "run.yaml", "-o", "x", "--print-config")
    assert again.out == printed
    assert not (tmp_path / "model").exists()


def test_the_doctor_describes_the_computer(capsys):
    assert "transformers" in run(capsys, "doctor").out
    assert "torch" in json.loads(run(capsys, "doctor", "--json").out)


def test_quiet_is_quiet(capsys, genome, model, tmp_path):
    genes = write_fasta(tmp_path / "genes.fa", {"a": letters(30)})
    options = ["-m", model, "-i", genes, "-o", tmp_path / "scores.tsv", "--quiet"]
    assert run(capsys, "score", *options).err == ""


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "megabase", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "pretrain" in done.stdout


def test_the_configuration_is_printed_without_an_output(capsys, genome):
    assert "context_length: 1024" in run(capsys, "pretrain", "-g", genome, "--print-config").out
    assert "--output DIR" in run(capsys, "pretrain", "-g", genome).err


def test_without_a_genome_those_of_the_training_are_evaluated(capsys, model, tmp_path):
    output = tmp_path / "report.json"
    shown = run(capsys, "evaluate", "perplexity", "--model", model, "--output", output).out
    assert shown.startswith("genome\n")
    assert json.loads(output.read_text())["genomes"]["genome"]["n_bases"] == 400


def test_the_evidence_of_context_is_a_page(capsys, tmp_path):
    genome = write_fasta(tmp_path / "genome.fa", {"chrI": letters(30_000)})
    short = ["--set", "tokens_per_step=512", "--context-length", "256", "--steps", "2"]
    run(capsys, "pretrain", "--genome", genome, "--output", tmp_path / "model", *short)
    options = ["--model", tmp_path / "model", "--genome", genome, "--output", tmp_path / "context"]
    answer = run(capsys, "evaluate", "context", *options)
    assert answer.out == f"{tmp_path / 'context' / 'context.html'}\n"
    assert "finished already" in run(capsys, "evaluate", "context", *options).err


def test_info_reports_memory_and_time_for_a_length(capsys, model):
    about = json.loads(
        run(capsys, "info", "-m", model, "--length", 8192, "--batch", 2, "--json").out
    )
    assert about["inference_gib"] < about["training_gib_with_gradient_checkpointing"]
    assert about["training_gib_with_gradient_checkpointing"] < about["training_gib"]
    assert about["inference_seconds"] > 0
