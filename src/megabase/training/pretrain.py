"""pretrain(config): open the genomes, build the model, train and save it."""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainingArguments, set_seed

from megabase.data.remembered_windows import GenomeText
from megabase.data.training_windows import (
    LengthSchedule,
    Share,
    StepWindows,
    WindowSource,
    plan_lengths,
)
from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import n_parameters, seconds_per_token
from megabase.model.load import load, save
from megabase.model.memory_mixer import MemoryMixer
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.reading import fingerprint, weights_sha256
from megabase.ops.memory import N_HITS, N_RECENT_HITS, fitted_odds
from megabase.ops.native_memory import NativeMemory
from megabase.runtime.artifacts import Output, atomic_files, exclusive_lock, record_of
from megabase.runtime.interruption import interruptible
from megabase.runtime.log import progress
from megabase.training.arguments import training_arguments
from megabase.training.checkpoint import Checkpoints, MetricsCallback, keep_metrics, step_of
from megabase.training.memory_plan import Plan, make_plan, memory_budget, segment_bytes
from megabase.training.outcome import tell_pretrained
from megabase.training.run_config import PretrainConfig
from megabase.training.sources import Sources
from megabase.training.trainer import PretrainTrainer
from megabase.training.training_check import check_pretrain

_log = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"


def pretrain(config: PretrainConfig, output: Path, *, overwrite: bool = False) -> None:
    """Pretrain a causal language model and save it as a Hugging Face folder.

    The folder also receives `metrics.jsonl`, written during the run, and `megabase.json` with
    the configuration, the hashes of the genomes and their splits. An interrupted run resumes
    from its last checkpoint; on a CPU the result is identical to the bit. If the folder is
    already finished with the same configuration, nothing is done.

    If torchrun or accelerate has started several processes, they share the windows of each
    step, and the first process writes.

    Parameters
    ----------
    config
        The configuration of the run.
    output
        The output folder.
    overwrite
        Whether existing output may be replaced.

    Raises
    ------
    InputError
        If a genome, a split or the output cannot be used, or the memory is too small.
    WorkError
        If the loss becomes NaN or infinite, or a checkpoint cannot be saved.
    Interrupted
        On SIGTERM or SIGINT, after the current step is saved.
    """
    check_pretrain(config, output)
    was_connected = _are_connected()
    with interruptible(output):
        _pretrain(config, output, overwrite=overwrite)
    if _are_connected() and not was_connected:
        # Threads of a process group that is left open can abort the process when it exits.
        torch.distributed.destroy_process_group()


def _are_connected() -> bool:
    """Return whether this process is connected to others of the same run."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _pretrain(config: PretrainConfig, output: Path, *, overwrite: bool) -> None:
    arguments = training_arguments(config, str(output))
    is_first = arguments.process_index == 0
    # The first process builds the token stores, which the others then open.
    with arguments.main_process_first(local=False):
        sources = Sources(config)
    schedule = _schedule(config)
    steps_of = partial(
        StepWindows,
        schedule=schedule,
        share=Share(arguments.process_index, arguments.world_size),
        soft_mask_weight=config.soft_mask_weight,
    )
    steps_of(sources.mixture())  # raises an error before the output folder is touched
    language, shape = _network(config)
    checkpoints = Checkpoints(output / CHECKPOINTS)
    with arguments.main_process_first(local=False):
        place = Output(
            output,
            _request(config, sources, language),
            is_folder=True,
            overwrite=overwrite and is_first,
        )
        if place.is_finished:
            if is_first:
                checkpoints.remove()  # a kill just before the end may have left some
            return
        plan = _plan(config, shape, sources, schedule, place, arguments)
        writing = ExitStack()
        if is_first:
            writing.enter_context(exclusive_lock(output))
            _start(place, checkpoints, plan)
    with writing:
        model = _starting_model(config, shape, language, sources)
        trainer = _trainer(config, model, sources, steps_of, plan, checkpoints, arguments)
        metrics = _metrics(trainer, output / METRICS, schedule, checkpoints.newest())
        with metrics if is_first else nullcontext():
            trainer.go_on()
        model = trainer.plain_model()
        if is_first:
            _finish(
                place,
                model,
                checkpoints,
                tokens=schedule.tokens_before(config.steps),
                genomes=sources.record(),
                plan=asdict(plan),
                **_continuation(config, language),
            )
            tell_pretrained(output / METRICS, sources, trainer.validation)
        # No process may end before the folder is complete, or while others still communicate.
        trainer.accelerator.wait_for_everyone()


def _schedule(config: PretrainConfig) -> LengthSchedule:
    return plan_lengths(
        n_steps=config.steps,
        context_length=config.context_length,
        tokens_per_step=config.tokens_per_step,
        start_length=config.start_length,
        warmup_fraction=config.length_warmup_fraction,
        constant_tokens=config.batch_rule == "constant_tokens",
    )


def _network(config: PretrainConfig) -> tuple[HyenaDNAForCausalLM | None, HyenaDNAConfig]:
    """Load the model that training continues, or None, and return it with the configuration."""
    if config.model is None:
        return None, HyenaDNAConfig.of(config.shape())
    language = load(config.model).model
    return language, config.shape_of(language.config)


def _request(
    config: PretrainConfig, sources: Sources, language: HyenaDNAForCausalLM | None
) -> dict[str, Any]:
    """Return every setting and input that affects the result."""
    read = sources.hashes() | ({} if language is None else {"model": weights_sha256(language)})
    return {"command": "pretrain", "config": config.request(), "inputs": read}


def _continuation(config: PretrainConfig, language: HyenaDNAForCausalLM | None) -> dict[str, Any]:
    """Return the record of the model that is continued: its weights, fingerprint and genomes."""
    if config.model is None or language is None:
        return {}
    earlier = record_of(config.model) or {"results": {}}
    genomes = earlier["results"].get("genomes", {})
    return {
        "continued_from": {
            "model": config.model,
            "weights_sha256": weights_sha256(language),
            "log_likelihood": fingerprint(language),
            "genomes": {name: each["sha256"] for name, each in genomes.items()},
            "continued_from": earlier["results"].get("continued_from"),
        }
    }


def _starting_model(
    config: PretrainConfig,
    shape: HyenaDNAConfig,
    language: HyenaDNAForCausalLM | None,
    sources: Sources,
) -> HyenaDNAForCausalLM:
    """Initialise the weights at random, or copy those of the model that is continued."""
    set_seed(config.seed)
    model = HyenaDNAForCausalLM(shape)
    if language is None:
        if (memory := model.backbone.memory) is not None:
            fit_pointers(memory, sources.texts())
    else:
        model.load_state_dict(language.state_dict())
        _log.info(
            "continuing %s in windows of %s tokens, with a context of %s; optimiser state and "
            "learning rate start afresh", config.model, f"{config.context_length:,}",
            f"{shape.context_length:,}",
        )  # fmt: skip
    return model


_FITTED_ON = 1 << 21  # letters of each genome on which the table of pointers is fitted
_AT_ONCE = 1 << 16


def fit_pointers(memory: MemoryMixer, texts: Mapping[str, GenomeText]) -> None:
    """Fit the log-odds of pointers to how often pointers are right in the training regions.

    The first two million letters of each genome are read. The table then stays fixed.
    """
    counted = np.zeros((N_HITS, N_RECENT_HITS, 2), np.int64)
    for text in texts.values():
        n = min(len(text), _FITTED_ON)
        reader = memory.new_memory(n)
        if not isinstance(reader, NativeMemory):
            _log.info("the table of pointers is not fitted, because the memory is not compiled")
            return
        reader.count_outcomes()
        for start in range(0, n, _AT_ONCE):  # features are computed, and not used
            reader.read(text.read(start, min(start + _AT_ONCE, n)))
        counted += reader.outcomes()
    with torch.no_grad():
        memory.pointer_odds.copy_(torch.from_numpy(fitted_odds(counted)))


def _plan(
    config: PretrainConfig,
    shape: HyenaDNAConfig,
    sources: Sources,
    schedule: LengthSchedule,
    place: Output,
    arguments: TrainingArguments,
) -> Plan:
    """Return the plan; a resumed run keeps its plan, because passes affect rounding."""
    if place.unfinished is not None:
        earlier = Plan.from_record(place.unfinished["plan"])
        # 0.01 GiB is the rounding of the recorded peak.
        if (earlier.peak_gib - 0.01) * 2**30 <= memory_budget(config):
            return earlier
        _log.warning(
            "the run was planned with %.1f GiB, more than is available now: it resumes with a new "
            "plan, and rounding may differ", earlier.peak_gib,
        )  # fmt: skip
    longest = max(map(len, sources.texts().values()))
    held = segment_bytes(config, shape, longest)
    return make_plan(config, shape, schedule, n_processes=arguments.world_size, n_bytes_held=held)


def _start(place: Output, checkpoints: Checkpoints, plan: Plan) -> None:
    """Log whether the run starts or resumes, and remove checkpoints that it does not need."""
    newest = checkpoints.newest() if place.unfinished is not None else None
    if newest is None:
        if place.unfinished is not None:
            _log.info("%s was interrupted before its first checkpoint: restarting", place.path)
        checkpoints.remove()
    else:
        _log.info("%s was interrupted: resuming after step %s", place.path, f"{step_of(newest):,}")
    checkpoints.remove_part()
    place.start(plan=asdict(plan))


def _trainer(
    config: PretrainConfig,
    model: HyenaDNAForCausalLM,
    sources: Sources,
    steps_of: Callable[[WindowSource], StepWindows],
    plan: Plan,
    checkpoints: Checkpoints,
    arguments: TrainingArguments,
) -> PretrainTrainer:
    model.backbone.gradient_checkpointing = plan.gradient_checkpointing
    memory = model.backbone.memory
    new_memory, after = (memory.new_memory, memory.memory_after) if memory else (None, None)
    steps = steps_of(sources.mixture(new_memory))
    validation = sources.validation_windows(new_memory, after) if config.validations else {}
    if config.validations and not validation:
        length = f"{config.context_length:,}"
        _log.info("no window of %s bp fits in the validation split: validation is skipped", length)
    trainer = PretrainTrainer(
        model,
        arguments,
        steps=steps,
        validation=validation,
        windows_per_pass=plan.windows_per_pass,
        own_loss_weight=config.own_loss_weight,
        checkpoints=checkpoints,
    )
    _log.info(
        "%s: %s parameters; peak memory about %.1f GiB",
        config.start,
        f"{n_parameters(model.config):,}", plan.peak_gib,
    )  # fmt: skip
    _log.debug("engine: %s", model.backbone.choose_engine(next(model.parameters())))
    if arguments.world_size > 1:
        _log.info("%d processes share the windows of each step", arguments.world_size)
    if not trainer.is_fsdp_enabled:  # with FSDP the model is not on its device yet
        each = seconds_per_token(model, config.context_length, training=True)
        _log.info("about %.1f minutes for the whole run", each * steps.n_tokens() / 60)
    return trainer


def _finish(
    place: Output, model: HyenaDNAForCausalLM, checkpoints: Checkpoints, **record: Any
) -> None:
    """Save the model, record how it was made, and remove the checkpoints."""
    with atomic_files(place.path) as folder:
        save(model, folder)
    place.finish(weights_sha256=weights_sha256(model), **record)
    checkpoints.remove()


@contextmanager
def _metrics(
    trainer: PretrainTrainer, path: Path, schedule: LengthSchedule, newest: Path | None
) -> Generator[None]:
    """Write metrics and show progress, from the step at which the run starts or resumes."""
    lines = keep_metrics(path, step_of(newest) if newest else 0)
    seconds = lines[-1]["seconds"] if lines else 0.0
    with (
        path.open("a", encoding="utf-8") as file,
        progress(schedule.n_steps, "pretraining", "steps") as meter,
    ):
        trainer.add_callback(MetricsCallback(file, meter, schedule, seconds))
        yield
