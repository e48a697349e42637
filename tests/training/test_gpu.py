"""On a GPU: training in bfloat16, and weights that are shared out."""

import subprocess
import sys

import pytest
import torch

from megabase.model.load import load
from megabase.model.reading import weights_sha256
from megabase.runtime.artifacts import read_record
from tests.toys import letters, write_fasta

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def pretrain(tmp_path, output, *keys):
    genome = write_fasta(tmp_path / "genome.fa", {"chrI": letters(20_000)})
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    command = [sys.executable, *launcher, "-m", "megabase", "pretrain", "--genome", str(genome)]
    options = ["--steps", "10", "--context-length", "256", "--output", str(output)]
    for key in keys:
        options += ["--set", key]
    return subprocess.run(command + options, capture_output=True, text=True, timeout=300)


def test_shared_out_weights_are_saved_as_one_process_would(tmp_path):
    done = pretrain(tmp_path, tmp_path / "fsdp", "parallel=fsdp", "precision=float32")
    assert done.returncode == 0, done.stderr
    written = read_record(tmp_path / "fsdp")["results"]["weights_sha256"]
    assert weights_sha256(load(str(tmp_path / "fsdp")).model) == written  # bit by bit
    plain = pretrain(tmp_path, tmp_path / "plain", "precision=float32")
    assert plain.returncode == 0, plain.stderr
    one, other = (load(str(tmp_path / name)).model.state_dict() for name in ("fsdp", "plain"))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-3, atol=1e-5)


def test_bfloat16_trains(tmp_path):
    done = pretrain(tmp_path, tmp_path / "model", "precision=bfloat16")
    assert done.returncode == 0, done.stderr
