"""A run that is interrupted ends in the same bits as one that is not."""

import json
import os
import re
import signal

import pytest
import torch
from safetensors.torch import load_file

from megabase.errors import WorkError
from megabase.model.load import save
from megabase.runtime.artifacts import read_record
from megabase.runtime.interruption import Interrupted
from megabase.runtime.log import progress
from megabase.training import checkpoint
from megabase.training.cnn import fit_cnn
from megabase.training.finetune import METRICS as FINETUNED
from megabase.training.finetune import finetune
from megabase.training.finetune_trainer import FinetuneTrainer
from megabase.training.fit import fit_model
from megabase.training.labelled import read_labelled
from megabase.training.pretrain import CHECKPOINTS, METRICS, pretrain
from megabase.training.run_config import FinetuneConfig, PretrainConfig
from megabase.training.trainer import PretrainTrainer, seed_of_step
from tests import toys
from tests.labelled_tables import motif_rows, write_rows
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


def at(monkeypatch, step, method, act, trainer=PretrainTrainer):
    """Do something in a method of the Trainer once it is at a step."""
    whole = getattr(trainer, method)

    def changed(self, *arguments, **options):
        if self.state.global_step >= step:
            act()
        return whole(self, *arguments, **options)

    monkeypatch.setattr(trainer, method, changed)


def kill():
    raise Killed


def signalled(number):
    """As if another process sent a signal to this one."""
    return lambda: os.kill(os.getpid(), number)


def interrupted(config, output, monkeypatch, step, method="training_step"):
    """Start a run and break it off."""
    with monkeypatch.context() as patch:
        at(patch, step, method, kill)
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


@pytest.mark.parametrize("step", [3, pytest.param(8, marks=SLOW)])
def test_a_run_with_a_memory_goes_on_bit_by_bit(config, tmp_path, monkeypatch, step):
    memory = {"memory_orders": [2, 6], "pointer_orders": [8]}
    segments = {"segment_length": 200, "open_segments": 2, "short_memory_p": 0.5}
    config = config.model_copy(update={"architecture": memory, **segments})
    pretrain(config, tmp_path / "whole")
    interrupted(config, tmp_path / "model", monkeypatch, step)
    pretrain(config, tmp_path / "model")
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "model")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert losses(tmp_path / "whole") == losses(tmp_path / "model")


@pytest.mark.parametrize("last", ["plain_model", "_finalize_training"])
def test_a_run_that_was_killed_at_its_very_end_is_finished(
    config, whole, tmp_path, monkeypatch, last
):
    interrupted(config, tmp_path / "model", monkeypatch, 12, last)
    pretrain(config, tmp_path / "model")
    one, other = weights(whole), weights(tmp_path / "model")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert losses(whole) == losses(tmp_path / "model")


def test_a_resumed_run_logs_its_step_and_keeps_its_plan(config, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="megabase")
    interrupted(config, tmp_path / "model", monkeypatch, 7)
    planned = read_record(tmp_path / "model")["results"]["plan"]
    pretrain(config.model_copy(update={"memory_gib": 0.7}), tmp_path / "model")
    assert "was interrupted: resuming after step 6" in caplog.text
    assert read_record(tmp_path / "model")["results"]["plan"] == planned
    assert "in other passes" not in caplog.text


@pytest.mark.slow
def test_with_less_memory_a_run_resumes_in_smaller_passes_with_a_warning(
    config, tmp_path, monkeypatch, caplog
):
    config = config.model_copy(update={"preset": "small", "tokens_per_step": 1024})
    interrupted(config, tmp_path / "model", monkeypatch, 7)
    less = read_record(tmp_path / "model")["results"]["plan"]["peak_gib"] - 0.05
    pretrain(config.model_copy(update={"memory_gib": less}), tmp_path / "model")
    assert "it resumes with a new plan" in caplog.text


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
            WorkError, match=r"step 6 could not be saved \(.*No space.*checkpoint is .*-3;"
        ):
            pretrain(config, tmp_path / "model")
    kept = checkpoint.Checkpoints(tmp_path / "model" / CHECKPOINTS)
    assert re.search("checkpoint-3$", str(kept.newest()))
    assert not kept.part.exists()
    pretrain(config, tmp_path / "model")
    pretrain(config, tmp_path / "whole")
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "model")
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_on_a_signal_the_step_is_saved_and_it_goes_on_bit_by_bit(
    config, whole, tmp_path, monkeypatch, caplog, number, code
):
    caplog.set_level("INFO", logger="megabase")
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with monkeypatch.context() as patch:
        at(patch, 4, "training_step", signalled(number))
        with pytest.raises(
            Interrupted, match=r"interrupted by SIG.* is saved in .*same command"
        ) as why:
            pretrain(config, tmp_path / "model")
    assert why.value.exit_code == code
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
    kept = checkpoint.Checkpoints(tmp_path / "model" / CHECKPOINTS)
    assert kept.newest().name == "checkpoint-5"
    pretrain(config, tmp_path / "model")
    assert "was interrupted: resuming after step 5" in caplog.text
    one, other = weights(whole), weights(tmp_path / "model")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert losses(whole) == losses(tmp_path / "model")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A language model, and tables of rows and of bases with labels."""
    folder = tmp_path_factory.mktemp("tables")
    save(toys.model(d_model=16), folder / "language")
    write_rows(folder / "train.csv", motif_rows(40))
    write_rows(folder / "test.csv", motif_rows(20, seed=1))
    write_fasta(folder / "genome.fa", {"chrI": letters(1600)})
    places = range(0, 1600, 40)
    rows = [f"chrI\t{start}\t{start + 40}\n" for start in places]
    (folder / "rows.bed").write_text("".join(rows))
    marks = [f"chrI\t{start + 5}\t{start + 15}\texon\n" for start in places]
    (folder / "bases.bed").write_text("".join(marks))
    return folder


LEARNT = {"epochs": 3, "batch_size": 8, "n_seeds": 1, "device": "cpu", "embed_dropout": 0.1}
WAYS = {
    "full": {"head_dropout": 0.2, "reverse_complement_p": 0.5},
    "head": {"adapt": "head", "head_dropout": 0.2},
    "lora": {"adapt": "lora", "lora_dropout": 0.2},
    "prompt": {"adapt": "prompt", "prompt_tokens": 4, "embed_dropout": None},
    "scratch": {"model": None, "context_length": 40},
    "bases": {
        "train": "rows.bed", "test": None, "genome": "genome.fa", "labels": "bases.bed",
        "strand": "average",
    },
}  # fmt: skip


def tuning(tables, **changes):
    fixed = {"train": "train.csv", "test": "test.csv", "model": "language"}
    files = {"train", "test", "model", "genome", "labels"}
    keys = {**LEARNT, **fixed, **changes}
    return FinetuneConfig(
        **{key: str(tables / value) if key in files and value else value
           for key, value in keys.items()}
    )  # fmt: skip


def outcome(folder):
    found = json.loads((folder / FINETUNED).read_text())
    return [found[key] for key in ("seeds", "best_seed", "test")], weights(folder)


def assert_the_same(folder, other):
    (found, one), (expected, two) = outcome(folder), outcome(other)
    assert found == expected
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not (folder / "seeds").exists()


def broken_off(config, output, monkeypatch, step, method="training_step", act=kill):
    with monkeypatch.context() as patch:
        at(patch, step, method, act, FinetuneTrainer)
        with pytest.raises((Killed, Interrupted)):
            finetune(config, output)


@pytest.fixture(scope="module")
def tuned(tables, tmp_path_factory):
    """A fine-tuning that nothing interrupts."""
    folder = tmp_path_factory.mktemp("tuned") / "out"
    finetune(tuning(tables, **WAYS["full"]), folder)
    return folder


@pytest.mark.parametrize(
    ("step", "method"),
    [(6, "training_step"), (10, "save_own"), (15, "load_best")],
)
def test_fine_tuning_goes_on_bit_by_bit_from_its_epoch(
    tables, tuned, tmp_path, monkeypatch, caplog, step, method
):
    """An epoch has five steps."""
    caplog.set_level("INFO", logger="megabase")
    config = tuning(tables, **WAYS["full"])
    broken_off(config, tmp_path / "out", monkeypatch, step, method)
    finetune(config, tmp_path / "out")
    last = "15 of 15" if method == "load_best" else "5 of 15, in epoch 2"
    assert f"seed 0 was interrupted: resuming after step {last}" in caplog.text
    assert_the_same(tmp_path / "out", tuned)


def fitted(config, checkpoints, *, network=fit_model):
    """Adapt a model from one seed, or train the network beside it; give weights and record."""
    data = read_labelled(config, 64)
    with progress(config.epochs, "fit", "epochs") as meter:
        run = {"seed": 1, "checkpoints": checkpoint.Checkpoints(checkpoints), "meter": meter}
        if network is fit_cnn:
            model, record = fit_cnn(config, data, **run)
            return model.state_dict(), record
        language = config.model and toys.model(d_model=16)
        model, _, trainer = fit_model(config, data, language, **run)
        return model.state_dict(), trainer.record()


def killed(monkeypatch, step, method, config, checkpoints, **which):
    with monkeypatch.context() as patch:
        at(patch, step, method, kill, FinetuneTrainer)
        with pytest.raises(Killed):
            fitted(config, checkpoints, **which)


@pytest.mark.parametrize("way", [*WAYS, "CNN"])
def test_every_way_of_adapting_goes_on_from_the_middle_of_an_epoch(
    tables, tmp_path, monkeypatch, caplog, way
):
    caplog.set_level("INFO", logger="megabase")
    config = tuning(tables, checkpoint_every=4, **WAYS.get(way, {"head_dropout": 0.2}))
    which = {"network": fit_cnn if way == "CNN" else fit_model}
    one, expected = fitted(config, tmp_path / "whole", **which)
    killed(monkeypatch, 9, "training_step", config, tmp_path / "out", **which)
    assert "interrupted" not in caplog.text
    two, found = fitted(config, tmp_path / "out", **which)
    assert "seed 1 was interrupted: resuming after step 8 of 15, in epoch 2" in caplog.text
    assert found == expected
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("method", ["training_step", "evaluate"])
def test_fine_tuning_is_saved_on_a_signal(tables, tuned, tmp_path, monkeypatch, caplog, method):
    caplog.set_level("INFO", logger="megabase")
    config = tuning(tables, **WAYS["full"])
    act = signalled(signal.SIGTERM)
    broken_off(config, tmp_path / "out", monkeypatch, 7, method, act)
    finetune(config, tmp_path / "out")
    step = {"training_step": 8, "evaluate": 10}[method]
    assert f"seed 0 was interrupted: resuming after step {step} of 15" in caplog.text
    assert_the_same(tmp_path / "out", tuned)


@pytest.mark.learned
def test_training_that_had_stopped_early_does_not_go_on(tables, tmp_path, monkeypatch):
    config = tuning(tables, epochs=12, patience=1, learning_rate=2e-2)
    one, expected = fitted(config, tmp_path / "whole")
    assert len(expected["epochs"]) < 12
    step = 5 * len(expected["epochs"])
    killed(monkeypatch, step, "load_best", config, tmp_path / "out")
    with monkeypatch.context() as patch:
        at(patch, 0, "training_step", kill, FinetuneTrainer)
        two, found = fitted(config, tmp_path / "out")
    assert found == expected
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_few_checkpoints_lie_there_and_none_is_half_written(tables, tmp_path, monkeypatch):
    config = tuning(tables, checkpoint_every=1, **WAYS["head"])
    killed(monkeypatch, 9, "save_own", config, tmp_path / "out")
    names = {"part", "checkpoint-7", "checkpoint-8"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    fitted(config, tmp_path / "out")
    names = {"checkpoint-14", "checkpoint-15"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
