"""`megabase --help` is light, and every verb explains itself with an example."""

import subprocess
import sys
from importlib import metadata

import pytest

from tests.cli.command import run

VERBS = (
    ["pretrain"], ["evaluate", "perplexity"], ["score"], ["score-vcf"], ["tracks"], ["generate"],
    ["merge"], ["info"], ["convert"], ["doctor"],
)  # fmt: skip


@pytest.mark.parametrize("verb", [[], *VERBS], ids=" ".join)
def test_help_imports_neither_torch_nor_transformers(verb):
    code = (
        "import sys; sys.argv = ['megabase', *sys.argv[1:], '--help']\n"
        "from megabase.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pysam'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *verb], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: megabase" in done.stdout


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
