"""Text is UTF-8 in and out whatever the locale, and paths are bytes."""

import os
import subprocess
import sys

import pytest

from megabase.model.load import save
from tests import toys
from tests.cli.command import run
from tests.cli.test_bad_input import refused

LETTERS = toys.letters(200)
NAMES = ["gène", "TGF-β"]


@pytest.fixture
def paths(tmp_path):
    save(toys.model(), tmp_path / "model")
    toys.write_fasta(tmp_path / "g.fa", {"chrI": LETTERS})
    lines = [f"chrI\t{n}\t{n + 20}\t{name}\n" for n, name in enumerate(NAMES)]
    (tmp_path / "r.bed").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def test_a_table_is_utf_8_where_the_locale_is_not(paths):
    """In ASCII, the least of locales: what is written is what UTF-8 locales get."""
    command = ["score", "-q", "-m", "model", "-g", "g.fa", "-i", "r.bed", "-o", "β.tsv"]
    variables = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "megabase", *command],
        cwd=paths, env=os.environ | variables, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    lines = (paths / "β.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == NAMES


def test_a_folder_whose_name_is_not_utf_8_works_from_within_or_costs_a_line(
    capsys, paths, monkeypatch
):
    try:
        folder = paths / os.fsdecode(b"caf\xe9")
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    fixed = ["score", "-q", "-m", paths / "model", "-g", paths / "g.fa", "-i", paths / "r.bed"]
    assert run(capsys, *fixed, "-o", folder / "s.tsv").code == 0
    assert run(capsys, *fixed, "-o", folder / "s.tsv").code == 0  # finished already
    tracks = ["tracks", "-q", "-m", paths / "model", "-g", paths / "g.fa"]
    answer = run(capsys, *tracks, "-o", folder / "t.bw")
    assert refused(answer, "bigWig needs a path that is valid UTF-8")
    model = ["info", "--model", folder / "model"]
    (paths / "model").rename(folder / "model")
    assert refused(run(capsys, *model), "UTF-8")
    monkeypatch.chdir(folder)
    assert run(capsys, "info", "--model", "model").code == 0
