"""Two processes learn what one learns, and a checkpoint does not know how many made it."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from megabase.data.token_store import open_token_store
from megabase.data.training_windows import (
    Mixture,
    Share,
    StepWindows,
    WindowSampler,
    plan_lengths,
)
from megabase.training.pretrain import METRICS
from tests.cli.command import run
from tests.toys import letters, write_fasta

KEYS = [
    "context_length=64", "start_length=16", "tokens_per_step=256", "log_every=1",
    "checkpoint_every=5", "validations=4", "validation_windows=5", "soft_mask_weight=0.5",
]  # fmt: skip


@pytest.fixture
def genome(tmp_path):
    contig = letters(4000) + letters(4000, seed=1).lower() + "N" * 20
    return write_fasta(tmp_path / "genome.fa", {"chrI": contig})


BROKEN = """
import os
from megabase.cli.main import main
from megabase.training.trainer import PretrainTrainer

whole = PretrainTrainer.training_step

def training_step(self, *arguments):
    if self.state.global_step == 7:
        os._exit(9)
    return whole(self, *arguments)

PretrainTrainer.training_step = training_step
main()
"""


FORKED = """
import os, sys
import megabase.training.pretrain  # once for both processes
from megabase.cli.main import main

for rank in ("0", "1"):
    if os.fork() == 0:
        os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"}
        main()
codes = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2)]
sys.exit(max(codes))
"""
"""What torchrun does, at the cost of one import."""


def arguments_of(genome, output, *, steps=50, keys=()):
    options = ["--genome", str(genome), "--output", str(output), "--steps", str(steps)]
    return ["pretrain", *options, *(word for key in (*KEYS, *keys) for word in ("--set", key))]


def pretrain(genome, output, *, processes, program=("-m", "megabase"), **options):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *(launcher if processes == 2 else []), *program]
    return launch([*command, *arguments_of(genome, output, **options)])


def pretrain_forked(genome, output, **options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", FORKED, *arguments_of(genome, output, **options)]
    return launch(command, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)


def launch(command, **variables):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | variables
    )


def losses(folder):
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return torch.tensor([line.get("loss", line.get("validation_loss")) for line in lines])


@pytest.mark.learned
@pytest.mark.parametrize("launcher", ["fork", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_two_processes_have_the_loss_curve_of_one(capsys, genome, tmp_path, launcher):
    one = run(capsys, *arguments_of(genome, tmp_path / "one", steps=20))
    if launcher == "fork":
        two = pretrain_forked(genome, tmp_path / "two", steps=20)
    else:
        two = pretrain(genome, tmp_path / "two", processes=2, steps=20)
    assert (one.code, two.returncode) == (0, 0), two.stderr
    assert two.stdout.count(str(tmp_path / "two")) == 1  # the first process speaks for all
    torch.testing.assert_close(
        losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4, atol=0
    )
    assert len(losses(tmp_path / "one")) == 24


@pytest.mark.slow
@pytest.mark.learned
def test_two_processes_share_the_windows_of_a_memory(capsys, genome, tmp_path):
    keys = [
        "architecture.memory_orders=[2, 6]", "architecture.pointer_orders=[8]",
        "segment_length=500", "open_segments=2",
    ]  # fmt: skip
    one = run(capsys, *arguments_of(genome, tmp_path / "one", keys=keys, steps=8))
    two = pretrain(genome, tmp_path / "two", keys=keys, processes=2, steps=8)
    assert (one.code, two.returncode) == (0, 0), two.stderr
    torch.testing.assert_close(
        losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4, atol=0
    )


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(genome, tmp_path, before, after):
    pretrain(genome, tmp_path / "whole", processes=1, steps=10)
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    broken = pretrain(
        genome, tmp_path / "model", processes=before, steps=10, program=(str(script),)
    )
    assert broken.returncode != 0
    done = pretrain(genome, tmp_path / "model", processes=after, steps=10)
    assert done.returncode == 0, done.stderr
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "model"))
    # Adam divides gradients near zero by their size: rounding moves single weights by 3e-5. One
    # wrong window moves an eighth of all by more than 1e-4, a lost state of Adam three quarters.
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_last_step_is_logged_and_measured_by_all(genome, tmp_path):
    keys = ["log_every=5", "validations=3", "embed_dropout=0.1"]
    done = pretrain(genome, tmp_path / "model", processes=2, steps=8, keys=keys)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "model" / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [5, 8]


def test_more_processes_than_windows_are_an_error(genome, tmp_path):
    done = pretrain_forked(genome, tmp_path / "model", keys=["tokens_per_step=64"])
    assert done.returncode != 0
    assert "2 processes cannot share the 1 windows of a step" in done.stderr
    assert not (tmp_path / "model").exists()


def test_processes_read_disjoint_windows_that_make_up_the_step(genome, tmp_path):
    store = open_token_store(genome, cache=tmp_path)
    sampler = WindowSampler(
        store, store.contigs(), longest=64, reverse_complement_p=0.5, max_unknown_fraction=0.1
    )
    mixture = Mixture({"toy": sampler}, [1.0], seed=0)
    schedule = plan_lengths(n_steps=9, context_length=64, tokens_per_step=448, start_length=32)
    whole = StepWindows(mixture, schedule)
    shares = [StepWindows(mixture, schedule, share=Share(process, 3)) for process in range(3)]
    for step in range(9):
        parts = [window for share in shares for window in share.windows(step)]
        assert sorted(map(str, parts)) == sorted(map(str, whole.windows(step)))
        assert len({str(window) for window in parts}) == len(parts)
