"""A disk that is full, or a folder that takes no file, costs one line and no output."""

import json
import subprocess
import sys

import pytest
import torch

from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.load import save
from tests import toys
from tests.cli.command import run
from tests.labelled_tables import motif_rows, write_rows
from tests.vcf_files import vcf_text, write_vcf_file

LETTERS = toys.letters(400)
OUTPUTS = {
    "score": "scores.tsv",
    "score-vcf": "scored.vcf.gz",
    "tracks": "surprisal.bedgraph",
    "generate": "new.fa",
    "embed": "embeddings.npz",
    "mutagenesis": "substitutions.tsv",
    "finetune": "classifier",
    "predict": "predicted.csv",
}
WRITTEN = OUTPUTS | {"finetune": "classifier/config.json"}
_RUN = """
import json, resource, sys
from megabase.cli.main import main
for command in json.loads(sys.argv[1]):
    if command == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        continue
    sys.argv = ["megabase", *command]
    try:
        main()
    except SystemExit as exit_:
        print("exit code", exit_.code, file=sys.stderr)
"""


@pytest.fixture
def commands(tmp_path):
    """Give what each verb needs, but for its output."""
    save(toys.model(), tmp_path / "model")
    torch.manual_seed(0)
    save(HyenaDNAForSequenceClassification(toys.config()).eval(), tmp_path / "tuned")
    table = write_rows(tmp_path / "table.csv", motif_rows(20))
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": LETTERS})
    genes = toys.write_fasta(tmp_path / "genes.fa", {"a": LETTERS[:50], "b": LETTERS[50:100]})
    row = ("chrI", 100, LETTERS[99], "A" if LETTERS[99] != "A" else "C", "DP=3")
    vcf = write_vcf_file(tmp_path / "in.vcf", vcf_text([row] * 9))
    bed = tmp_path / "regions.bed"
    bed.write_text("chrI\t100\t110\n")
    inputs = {
        "score": ["--input", genes],
        "score-vcf": ["--genome", genome, "--input", vcf],
        "tracks": ["--genome", genome],
        "generate": ["--length", 50, "--number", 9],
        "embed": ["--input", genes],
        "mutagenesis": ["--genome", genome, "--regions", bed],
        "finetune": ["--train", table, "--epochs", 1, "--seeds", 1, "--device", "cpu"],
        "predict": ["--input", table],
    }
    models = dict.fromkeys(inputs, tmp_path / "model") | {"predict": tmp_path / "tuned"}
    return {
        verb: [verb, *map(str, ["--model", models[verb], "--quiet", *options])]
        for verb, options in inputs.items()
    }


def test_a_full_disk_leaves_no_output(commands, tmp_path):
    """Let the system refuse to let a file grow, in place of a full disk."""
    folders = {name: tmp_path / name for name in ("before", "full")}
    listed = {
        name: [[*commands[verb], "--output", str(folder / OUTPUTS[verb])] for verb in OUTPUTS]
        for name, folder in folders.items()
    }
    order = json.dumps([*listed["before"], "full", *listed["full"]])
    done = subprocess.run([sys.executable, "-c", _RUN, order], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    n = len(OUTPUTS)
    assert lines[:n] == ["exit code 0"] * n, done.stderr
    assert lines[n + 1 :: 2] == ["exit code 1"] * n, done.stderr
    assert all(line.startswith("megabase: error: ") for line in lines[n::2])
    for name in WRITTEN.values():
        assert (folders["before"] / name).exists()
        assert not (folders["full"] / name).exists()


@pytest.mark.parametrize("verb", OUTPUTS)
def test_a_folder_that_takes_no_file(capsys, commands, verb):
    answer = run(capsys, *commands[verb], "--output", f"/proc/megabase/{OUTPUTS[verb]}")
    errors = [line for line in answer.err.splitlines() if line.startswith("megabase: error: ")]
    assert (answer.code in (1, 2), len(errors)) == (True, 1), answer.err
    assert "/proc" in errors[0]
