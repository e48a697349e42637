"""A run that is interrupted ends in the same bits as one that is not."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file

from megabase.errors import WorkError
from megabase.run.output import read_record
from megabase.training import checkpoint
from megabase.training.config import PretrainConfig
from megabase.training.pretrain import CHECKPOINTS, METRICS, pretrain
from megabase.training.trainer import PretrainTrainer, seed_of_step
from tests.toys import letters, write_fasta

RUN = {
    "context_length": 64,
    "start_length": 16,
    "tokens_per_step": 128,
    "steps": 12,
    "checkpoint_every": 3,
    "log_every": 1,
    "validations": 3,
    "embed_dropout": 0.1,
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    place = tmp_path_factory.mktemp("genome") / "genome.fa"
    return PretrainConfig(genome=str(write_fasta(place, {"chrI": letters(8000)})), **RUN)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A run that nothing interrupts, and no test changes."""
    output = tmp_path_factory.mktemp("whole") / "model"
    pretrain(config, output)
    return output


SLOW = pytest.mark.slow


class Killed(BaseException):
    """As if the process were gone: nothing of ours may catch it."""


def kill_at(monkeypatch, step, method):
    """Break off a run in a method of the Trainer once it is at a step."""
    whole = getattr(PretrainTrainer, method)

    def broken(self, *arguments, **options):
        if self.state.global_step >= step:
            raise Killed
        return whole(self, *arguments, **options)

    monkeypatch.setattr(PretrainTrainer, method, broken)


def interrupted(config, output, monkeypatch, step, method="training_step"):
    """Start a run and break it off."""
    with monkeypatch.context() as patch:
        kill_at(patch, step, method)
        with pytest.raises(Killed):
            pretrain(config, output)


def weights(folder):
    return load_file(folder / "model.safetensors")


def losses(folder):
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [(line["step"], line.get("loss", line.get("validation_loss"))) for line in lines]


def test_a_line_of_metrics_is_of_all_its_steps_also_of_those_before_a_kill(
    config, tmp_path, monkeypatch
):
    config = config.model_copy(update={"log_every": 5})
    pretrain(config, tmp_path / "whole")
    interrupted(config, tmp_path / "model", monkeypatch, 7)
    pretrain(config, tmp_path / "model")
    assert losses(tmp_path / "whole") == losses(tmp_path / "model")


def test_a_process_draws_by_seed_step_and_its_number():
    seeds = {seed_of_step(*place) for place in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}
    assert len(seeds) == 4


@pytest.mark.parametrize(
    "step", [0, pytest.param(2, marks=SLOW), 3, pytest.param(7, marks=SLOW), 11]
)
@pytest.mark.parametrize("method", ["training_step", "_save_optimizer_and_scheduler"])
def test_it_goes_on_bit_by_bit(config, whole, tmp_path, monkeypatch, step, method):
    interrupted(config, tmp_path / "model", monkeypatch, step, method)
    pretrain(config, tmp_path / "model")
    one, other = weights(whole), weights(tmp_path / "model")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert losses(whole) == losses(tmp_path / "model")
    assert not (tmp_path / "model" / CHECKPOINTS).exists()


@pytest.mark.parametrize("last", ["plain_model", "_finalize_training"])
def test_a_run_that_was_killed_at_its_very_end_is_finished(
    config, whole, tmp_path, monkeypatch, last
):
    interrupted(config, tmp_path / "model", monkeypatch, 12, last)
    pretrain(config, tmp_path / "model")
    one, other = weights(whole), weights(tmp_path / "model")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert losses(whole) == losses(tmp_path / "model")


def test_it_says_where_it_goes_on_and_keeps_its_plan(config, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="megabase")
    interrupted(config, tmp_path / "model", monkeypatch, 7)
    planned = read_record(tmp_path / "model")["results"]["plan"]
    pretrain(config.model_copy(update={"memory_gib": 0.7}), tmp_path / "model")
    assert "was interrupted: going on after step 6" in caplog.text
    assert read_record(tmp_path / "model")["results"]["plan"] == planned
    assert "in other passes" not in caplog.text


@pytest.mark.slow
def test_with_less_memory_it_goes_on_in_smaller_passes_and_says_so(
    config, tmp_path, monkeypatch, caplog
):
    config = config.model_copy(update={"preset": "small", "tokens_per_step": 1024})
    interrupted(config, tmp_path / "model", monkeypatch, 7)
    less = read_record(tmp_path / "model")["results"]["plan"]["peak_gib"] - 0.05
    pretrain(config.model_copy(update={"memory_gib": less}), tmp_path / "model")
    assert "it goes on in other passes" in caplog.text


def test_checkpoints_that_a_late_kill_left_are_removed(config, tmp_path):
    pretrain(config, tmp_path / "model")
    left = tmp_path / "model" / CHECKPOINTS / "checkpoint-12"
    left.mkdir(parents=True)
    pretrain(config, tmp_path / "model")
    assert not left.parent.exists()


def test_another_configuration_does_not_go_on(config, tmp_path, monkeypatch):
    interrupted(config, tmp_path / "model", monkeypatch, 7)
    other = config.model_copy(update={"learning_rate": 0.1})
    with pytest.raises(ValueError, match=r"config.learning_rate was 0.001, is 0.1"):
        pretrain(other, tmp_path / "model")
    pretrain(other, tmp_path / "model", overwrite=True)
    pretrain(other, tmp_path / "fresh")
    one, two = weights(tmp_path / "model"), weights(tmp_path / "fresh")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_checkpoint_that_cannot_be_saved_leaves_the_last_good_one(config, tmp_path, monkeypatch):
    whole = PretrainTrainer._save_optimizer_and_scheduler

    def full_disk(self, folder):
        if self.state.global_step > 3:
            raise OSError(28, "No space left on device")
        whole(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainTrainer, "_save_optimizer_and_scheduler", full_disk)
        with pytest.raises(
            WorkError, match=r"step 6 could not be saved \(.*No space.*one is .*-3;"
        ):
            pretrain(config, tmp_path / "model")
    kept = checkpoint.Checkpoints(tmp_path / "model" / CHECKPOINTS)
    assert re.search("checkpoint-3$", str(kept.newest()))
    assert not kept.part.exists()
    pretrain(config, tmp_path / "model")
    pretrain(config, tmp_path / "whole")
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "model")
    assert all(torch.equal(one[name], two[name]) for name in one)
