"""`megabase --help` is light, and every verb explains itself with an example."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from tests.cli.command import run

VERBS = (
    ["pretrain"], ["evaluate", "perplexity"], ["score"], ["score-vcf"], ["tracks"], ["generate"],
    ["merge"], ["info"], ["convert"], ["doctor"],
)  # fmt: skip


RUN = """
import json, sys
from megabase.cli.main import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["megabase", *words, "--help"]
    try:
        main()
    except SystemExit as end:
        heavy = sorted({"torch", "transformers", "numpy", "pysam"} & set(sys.modules))
        print("=>", end.code or 0, heavy, *words)
"""


def test_help_imports_neither_torch_nor_transformers():
    asked = [[], *VERBS]
    command = [sys.executable, "-c", RUN, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ends = [line for line in done.stdout.splitlines() if line.startswith("=> ")]
    assert ends == [" ".join(["=> 0 []", *words]) for words in asked]
    assert done.stdout.count("Usage: megabase") == len(asked)


@pytest.mark.parametrize("verb", VERBS[:-1], ids=" ".join)
def test_every_verb_shows_an_example(capsys, verb):
    assert f"megabase {' '.join(verb)} --" in " ".join(run(capsys, *verb, "--help").out.split())


def test_no_verb_shows_the_help(capsys):
    answer = run(capsys)
    assert "pretrain" in answer.out + answer.err


def test_an_unknown_verb_or_option_is_misuse(capsys):
    assert run(capsys, "pretrane").code == 2
    assert run(capsys, "score", "--modle", "x").code == 2


def test_the_version_is_printed(capsys):
    answer = run(capsys, "--version")
    assert (answer.code, answer.out) == (0, f"megabase {metadata.version('megabase')}\n")
