"""Check the inputs of an evaluation without torch, before a command imports the rest."""

from collections.abc import Sequence
from pathlib import Path

from megabase.evaluation.tasks.catalogue import find_tasks
from megabase.inference.predictor import check_device
from megabase.model.files import find_model
from megabase.runtime.artifacts import check_place
from megabase.runtime.location import check_exists, genome_path
from megabase.training.run_config import AdaptConfig
from megabase.training.training_check import check_adapt


def check_measured(
    model: str,
    *,
    device: str,
    genome: str | None = None,
    tasks: Sequence[str] = (),
    output: Path | None = None,
    is_folder: bool = True,
) -> None:
    """Check the inputs of an evaluation that measures an unmodified model.

    Parameters
    ----------
    model
        Model folder, hub id or asset:NAME; see `model.load`.
    device
        Device to run on.
    genome
        FASTA or 2bit file, or asset:NAME; None: not needed.
    tasks
        Names or patterns of tasks.
    output
        Output file or folder; None: no output.
    is_folder
        Whether the output is a folder.

    Raises
    ------
    InputError
        If a file is missing, a task is unknown, or the output cannot be written.
    """
    check_device(device)
    if tasks:
        find_tasks(tasks)
    if genome is not None:
        check_exists(genome_path(genome), "genome")
    if output is not None:
        check_place(output, is_folder=is_folder)
    find_model(model)


def check_adapted(tasks: Sequence[str], settings: AdaptConfig, output: Path) -> None:
    """Check the inputs of a benchmark that adapts a model, and the optional libraries it needs.

    Parameters
    ----------
    tasks
        Names or patterns of tasks.
    settings
        How the model is adapted.
    output
        Output folder.

    Raises
    ------
    InputError
        If a file or library is missing, a task is unknown, or the output cannot be a folder.
    """
    find_tasks(tasks)
    check_place(output, is_folder=True)
    check_adapt(settings)
