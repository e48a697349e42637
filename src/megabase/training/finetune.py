"""finetune(config): read the tables, and adapt a model to them."""

from pathlib import Path

from megabase.data.label_track import check_label_track
from megabase.errors import InputError
from megabase.model.load import load
from megabase.run.interruption import interruptible
from megabase.run.output import check_no_input
from megabase.training.adapt import adapt
from megabase.training.config import FinetuneConfig
from megabase.training.labelled import hashes, read_labelled
from megabase.training.low_rank import check_installed


def finetune(config: FinetuneConfig, output: Path, *, overwrite: bool = False) -> None:
    """Fine-tune a model on labelled tables from several seeds, and save the best: `adapt`.

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
        If a table, the model, the memory or the output cannot be used.
    WorkError
        If the loss becomes no number.
    Interrupted
        On SIGTERM or SIGINT, once the step that was being done is saved.
    """
    if config.adapt == "lora":
        check_installed()
    named = (config.train, config.validation, config.test, config.labels)
    check_no_input(output, [Path(name) for name in named if name])
    if config.labels is not None:
        check_label_track(Path(config.labels))
    if config.model is not None and Path(config.model).absolute() == output.absolute():
        raise InputError(f"{output} is the model to start from; choose another output")
    with interruptible(output):
        inputs = hashes(config)
        language = None if config.model is None else load(config.model).model
        limit = config.context_length if language is None else language.config.context_length
        data = read_labelled(config, limit)
        adapt(
            config, data, language, output, command="finetune", inputs=inputs, overwrite=overwrite
        )
