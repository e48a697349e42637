"""The demo and the examples of the documentation run as they are shown."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from examples import demo

from megabase.genome.interval import Interval
from megabase.io.genome_file import open_reference
from megabase.model.load import save
from megabase.runtime.location import cache_folder, genome_path
from tests import toys

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "examples" / "demo.py"


def check_demo(out, folder, *, start, end, n_bases):
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["held_out"] == {"contig": "K-12-MG1655", "start": start, "end": end}
    assert metrics["n_bases"] == n_bases
    assert metrics["markov_bits_per_base"] < metrics["order0_bits_per_base"] < 2
    assert {"bits_per_base", "seconds"} <= metrics.keys()
    # Clearly below 2, the value of a model without knowledge.
    assert metrics["shipped"]["bits_per_base"] <= 1.89
    assert (folder / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "model" / "model.safetensors").exists()
    assert f"{metrics['bits_per_base']:.4f}" in out
    return metrics


@pytest.mark.slow
def test_the_demo_leaves_model_metrics_and_figure(tmp_path):
    command = [sys.executable, "-W", "error", str(DEMO), "--steps", "2", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    place = {"start": 4_175_707, "end": 4_639_675, "n_bases": 463_968}
    metrics = check_demo(done.stdout, tmp_path, **place)
    assert metrics["order0_bits_per_base"] == pytest.approx(1.9997, abs=1e-4)


def test_the_demo_leaves_model_metrics_and_figure_of_a_part_of_the_genome(
    capsys, tmp_path, monkeypatch
):
    """The gene and its surroundings are in the held-out tenth of 400 kb, as in the genome."""
    start, length = 3_819_000, 400_000
    whole = open_reference(genome_path(demo.GENOME), cache=cache_folder())
    letters = whole.fetch(Interval(demo.RPOB.contig, start, start + length))
    part = toys.write_fasta(tmp_path / "part.fa", {demo.RPOB.contig: letters})
    gene = Interval(demo.RPOB.contig, demo.RPOB.start - start, demo.RPOB.end - start)
    (tmp_path / "demo.yaml").write_text(demo.CONFIG.read_text().replace(demo.GENOME, str(part)))
    monkeypatch.setattr(demo, "CONFIG", tmp_path / "demo.yaml")
    monkeypatch.setattr(demo, "GENOME", str(part))
    monkeypatch.setattr(demo, "RPOB", gene)
    demo.main(tmp_path / "out", steps=2)
    place = {"start": 360_000, "end": length, "n_bases": 40_000}
    check_demo(capsys.readouterr().out, tmp_path / "out", **place)


def test_the_inputs_of_readme_are_variants_of_the_genome_and_labelled_rows(tmp_path):
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "readme_inputs.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    letters = (tmp_path / "prompt.fa").read_text().splitlines()[1]
    assert (len(letters), letters[:3]) == (300, "ATG")
    rows = [line for line in (tmp_path / "in.vcf").read_text().splitlines() if line[0] != "#"]
    assert [row.split("\t")[2] for row in rows] == ["missense", "synonymous", "stop_gained"]
    text = (ROOT / "README.md").read_text()
    assert all(f"{row.split(chr(9))[1]}  {row.split(chr(9))[2]}" in text for row in rows)
    train = (tmp_path / "train.csv").read_text().splitlines()
    assert (len(train), len((tmp_path / "test.csv").read_text().splitlines())) == (401, 101)
    assert all(len(row.split(",")[0]) == 200 for row in train[1:])


@pytest.mark.filterwarnings("default")  # of what tangermeme imports
@pytest.mark.parametrize("page", ["docs/python.md", "docs/generation.md"])
def test_the_examples_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    save(toys.model(max_seq_len=1026), tmp_path / "demo" / "model")
    monkeypatch.chdir(tmp_path)
    names, n_run = {}, 0
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        if "tangermeme" in block and find_spec("tangermeme") is None:
            continue
        exec(block, names)  # noqa: S102 our own page
        n_run += 1
    assert n_run >= 1
    assert names["made"][0].letters if page == "docs/python.md" else names["made"].letters
    if page == "docs/python.md":
        assert n_run >= 5
        assert names["effect"].skip_reason == ""
        assert names["gradient"].shape == (1, 4, 200)
        assert "slopes" in names or find_spec("tangermeme") is None
