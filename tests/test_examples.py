"""The demo runs as it is shown, and leaves what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"


@pytest.fixture
def demo(tmp_path):
    command = [sys.executable, "-W", "error", str(DEMO), "--steps", "2", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, tmp_path


def test_the_demo_leaves_model_metrics_and_figure(demo):
    out, folder = demo
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["held_out"] == {"contig": "K-12-MG1655", "start": 4_175_707, "end": 4_639_675}
    assert metrics["n_bases"] == 463_968
    assert metrics["order0_bits_per_base"] == pytest.approx(1.9997, abs=1e-4)
    assert metrics["markov_bits_per_base"] < metrics["order0_bits_per_base"]
    assert {"bits_per_base", "seconds"} <= metrics.keys()
    assert (folder / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "model" / "model.safetensors").exists()
    assert f"{metrics['bits_per_base']:.4f}" in out
