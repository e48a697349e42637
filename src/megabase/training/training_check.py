"""Check without torch what a run needs: files, model, extras and the output path.

The commands check before they import the training code. Direct callers get the same errors:
`finetune` calls `check_finetune`, and `pretrain` calls `check_pretrain`.
"""

from pathlib import Path

from megabase.data.label_track import check_label_track
from megabase.errors import InputError
from megabase.model.files import find_model
from megabase.runtime.artifacts import check_no_input, check_place
from megabase.runtime.environment import check_peft
from megabase.runtime.location import check_exists, genome_path
from megabase.training.run_config import AdaptConfig, FinetuneConfig, PretrainConfig


def check_pretrain(config: PretrainConfig, output: Path) -> None:
    """Check the genomes, the output, and the model that a pretraining continues.

    Raises
    ------
    InputError
        If a genome or the model is missing, the output is the model, or it cannot be a folder.
    """
    check_place(output, is_folder=True)
    for genome in config.sources().values():
        check_exists(Path(config.genome_folder) / genome_path(genome.path), "genome")
    if config.model is not None:
        if Path(config.model).absolute() == output.absolute():
            raise InputError(f"{output} is the model to continue from; choose another output")
        find_model(config.model)


def check_adapt(config: AdaptConfig) -> None:
    """Check the model to start from, and the optional dependency of LoRA.

    Raises
    ------
    InputError
        If the model is missing, or peft is needed and not installed.
    """
    if config.adapt == "lora":
        check_peft()
    if config.model is not None:
        find_model(config.model)


def check_finetune(config: FinetuneConfig, output: Path) -> None:
    """Check the tables, the model, the extras and the output of a fine-tuning.

    Raises
    ------
    InputError
        If an input or an extra is missing, the output is an input, or it cannot be a folder.
    """
    check_place(output, is_folder=True)
    if config.labels is not None:
        check_label_track(Path(config.labels))
    named = (config.train, config.validation, config.test, config.labels)
    files = [Path(name) for name in named if name]
    check_no_input(output, files)
    for file in files:
        check_exists(file, "file")
    if config.genome is not None:
        check_exists(genome_path(config.genome), "genome")
    if config.model is not None and Path(config.model).absolute() == output.absolute():
        raise InputError(f"{output} is the model to start from; choose another output")
    check_adapt(config)
