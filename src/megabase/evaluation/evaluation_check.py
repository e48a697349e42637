"""What an evaluation needs, checked without torch; a verb checks before it imports the rest."""

from collections.abc import Sequence
from pathlib import Path

from megabase.evaluation.tasks.catalogue import find_tasks
from megabase.inference.predictor import check_device
from megabase.model.files import find_model
from megabase.run.location import check_there, genome_path
from megabase.run.output import check_place
from megabase.training.config import AdaptConfig
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
    """Check a model that is measured as it is: its place, and those of genome and output.

    Raises
    ------
    InputError
        If something is not there, a task is unknown, or the output cannot be written.
    """
    check_device(device)
    if tasks:
        find_tasks(tasks)
    if genome is not None:
        check_there(genome_path(genome), "genome")
    if output is not None:
        check_place(output, is_folder=is_folder)
    find_model(model)


def check_adapted(tasks: Sequence[str], settings: AdaptConfig, output: Path) -> None:
    """Check a benchmark for which a model is adapted: tasks, model, extras, output.

    Raises
    ------
    InputError
        If something is not there, a task is unknown, or the output cannot be a folder.
    """
    find_tasks(tasks)
    check_place(output, is_folder=True)
    check_adapt(settings)
