"""The script that writes the letters of each species of an alignment."""

import runpy
import sys
from pathlib import Path

from megabase.pipelines.sequences import open_sequences

SCRIPT = Path(__file__).parents[1] / "scripts" / "aligned_species.py"
ALIGNMENT = """##maf version=1
a
s one.c 0 5 + 20 AC-GTT
s two.x 3 4 + 30 ACCG--

a
s two.x 9 3 + 30 GGG

a
s one.c 9 2 + 20 TT
"""


def test_blocks_follow_each_other_without_gaps(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.maf").write_text(ALIGNMENT)
    words = [str(SCRIPT), str(tmp_path / "a.maf"), "--output", str(tmp_path / "species")]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "one.fa: 2 blocks, 7 letters" in capsys.readouterr().out
    found = {name: open_sequences(str(tmp_path / "species" / f"{name}.fa"), None).letters(0)
             for name in ("one", "two")}  # fmt: skip
    assert found == {"one": "ACGTTNTT", "two": "ACCG"}
