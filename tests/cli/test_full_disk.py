"""A disk that is full, or a folder that takes no file, costs one line and no output."""

import pytest
import torch

from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.load import save
from tests import toys
from tests.cli.command import run
from tests.full_disk import file_limit
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


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Give what each verb needs, but for its output."""
    folder = tmp_path_factory.mktemp("inputs")
    save(toys.model(), folder / "model")
    torch.manual_seed(0)
    save(HyenaDNAForSequenceClassification(toys.config()).eval(), folder / "tuned")
    table = write_rows(folder / "table.csv", motif_rows(20))
    genome = toys.write_fasta(folder / "genome.fa", {"chrI": LETTERS})
    genes = toys.write_fasta(folder / "genes.fa", {"a": LETTERS[:50], "b": LETTERS[50:100]})
    row = ("chrI", 100, LETTERS[99], "A" if LETTERS[99] != "A" else "C", "DP=3")
    vcf = write_vcf_file(folder / "in.vcf", vcf_text([row] * 9))
    bed = folder / "regions.bed"
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
    models = dict.fromkeys(inputs, folder / "model") | {"predict": folder / "tuned"}
    return {
        verb: [verb, *map(str, ["--model", models[verb], "--quiet", *options])]
        for verb, options in inputs.items()
    }


@pytest.mark.parametrize("verb", OUTPUTS)
def test_a_full_disk_leaves_no_output(capsys, commands, tmp_path, verb):
    before, full = ([*commands[verb], "--output", tmp_path / name / OUTPUTS[verb]]
                    for name in ("before", "full"))  # fmt: skip
    assert run(capsys, *before).code == 0
    with file_limit(100):
        answer = run(capsys, *full)
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert line.startswith("megabase: error: ")
    assert (tmp_path / "before" / WRITTEN[verb]).exists()
    assert not (tmp_path / "full" / WRITTEN[verb]).exists()


@pytest.mark.parametrize("verb", OUTPUTS)
def test_a_folder_that_takes_no_file(capsys, commands, verb):
    answer = run(capsys, *commands[verb], "--output", f"/proc/megabase/{OUTPUTS[verb]}")
    errors = [line for line in answer.err.splitlines() if line.startswith("megabase: error: ")]
    assert (answer.code in (1, 2), len(errors)) == (True, 1), answer.err
    assert "/proc" in errors[0]
