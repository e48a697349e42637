"""finetune(config): read labelled tables and adapt a model to them."""

from pathlib import Path

from megabase.model.load import load
from megabase.run.interruption import interruptible
from megabase.training.adapt import adapt
from megabase.training.config import FinetuneConfig
from megabase.training.labelled import hashes, read_labelled
from megabase.training.training_check import check_finetune


def finetune(config: FinetuneConfig, output: Path, *, overwrite: bool = False) -> None:
    """Fine-tune a model on labelled tables from several seeds, and save the best.

    `adapt` describes what the output folder contains.

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
        If a table, the model or the output cannot be used, or the memory is too small.
    WorkError
        If the loss becomes NaN or infinite.
    Interrupted
        On SIGTERM or SIGINT, after the current step is saved.
    """
    check_finetune(config, output)
    with interruptible(output):
        inputs = hashes(config)
        language = None if config.model is None else load(config.model).model
        limit = config.context_length if language is None else language.config.context_length
        data = read_labelled(config, limit)
        adapt(
            config, data, language, output, command="finetune", inputs=inputs, overwrite=overwrite
        )
