"""pretrain(config): open the genome, build the model, fit it, save it."""

import logging
import time
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, set_seed

from megabase.data.genome_dataset import GenomeDataset
from megabase.data.token_store import TokenStore, open_token_store
from megabase.data.window_sampler import WindowSampler
from megabase.genome.interval import Interval
from megabase.genome.split import Split
from megabase.model.config import HyenaDNAConfig
from megabase.model.cost import n_parameters
from megabase.model.load import save
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.run.location import cache_folder, genome_path
from megabase.run.log import progress
from megabase.run.output import Output, whole_files
from megabase.training.config import PretrainConfig
from megabase.training.metrics import MetricsCallback
from megabase.training.split import make_split
from megabase.training.trainer import PretrainTrainer, training_arguments

_log = logging.getLogger(__name__)

METRICS = "metrics.jsonl"


def pretrain(config: PretrainConfig, output: Path, *, overwrite: bool = False) -> None:
    """Pretrain a causal language model and save it as a Hugging Face folder.

    The folder also gets `metrics.jsonl`, written as the run goes on, and `megabase.json`,
    which holds the configuration, the hash of the genome and the split. A folder that is
    finished by the same configuration is left as it is.

    Parameters
    ----------
    config
        The run.
    output
        The folder.
    overwrite
        Whether what is there may be replaced.

    Raises
    ------
    InputError
        If the genome, the split or the output cannot be used.
    WorkError
        If the loss becomes no number.
    """
    store = open_token_store(genome_path(config.genome), cache=cache_folder())
    split = make_split(config.split, store)
    sampler = WindowSampler(
        store,
        split.train,
        length=config.context_length,
        seed=config.seed,
        reverse_complement_p=config.reverse_complement_p,
        max_unknown_fraction=config.max_unknown_fraction,
    )
    request = {"command": "pretrain", "config": config.model_dump(), "genome": store.sha256}
    place = Output(output, request, is_folder=True, overwrite=overwrite)
    if place.is_finished:
        return
    place.start()
    model = _new_model(config)
    started = time.monotonic()
    _fit(model, config, sampler, _validation_windows(config, store, split), output)
    with whole_files(output) as folder:
        save(model, folder)
    place.finish(**_results(config, store, split), seconds=round(time.monotonic() - started, 1))


def _new_model(config: PretrainConfig) -> HyenaDNAForCausalLM:
    set_seed(config.seed)
    shape = HyenaDNAConfig.from_preset(config.preset, config.context_length)
    shape.embed_dropout = config.embed_dropout
    model = HyenaDNAForCausalLM(shape)
    model.backbone.gradient_checkpointing = config.gradient_checkpointing
    _log.info("%s: %s parameters", config.preset, f"{n_parameters(shape):,}")
    return model


def _validation_windows(
    config: PretrainConfig, store: TokenStore, split: Split
) -> GenomeDataset | None:
    """Give whole windows spread evenly over the validation regions; None if none fits."""
    length = config.context_length
    windows = [
        window
        for region in split.validation
        for window in region.windows(length)
        if len(window) == length
    ]
    if not windows:
        _log.info("no validation window of %s bp fits the split: none is measured", f"{length:,}")
        return None
    n = min(config.validation_windows, len(windows))
    chosen: list[Interval] = [windows[i * len(windows) // n] for i in range(n)]
    return GenomeDataset(store, chosen.__getitem__, n)


def _fit(
    model: HyenaDNAForCausalLM,
    config: PretrainConfig,
    sampler: WindowSampler,
    validation: GenomeDataset | None,
    output: Path,
) -> None:
    """Train the model in place and write the metrics."""
    windows = config.windows_per_step
    arguments = training_arguments(config, str(output), validates=validation is not None)
    with (
        (output / METRICS).open("w") as file,
        progress(config.steps, "pretraining", "steps") as meter,
    ):
        trainer = PretrainTrainer(
            model=model,
            args=arguments,
            train_dataset=GenomeDataset(sampler.store, sampler.window, config.steps * windows),
            eval_dataset=validation,
            callbacks=[MetricsCallback(file, meter, windows * config.context_length)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def _results(config: PretrainConfig, store: TokenStore, split: Split) -> dict[str, Any]:
    """What the record says of a finished run."""
    regions = {"train": split.train, "validation": split.validation, "test": split.test}
    return {
        "tokens": config.steps * config.windows_per_step * config.context_length,
        "genome_sha256": store.sha256,
        "split": {
            part: [[interval.contig, interval.start, interval.end] for interval in intervals]
            for part, intervals in regions.items()
        },
    }
