"""Convert a published folder or file to a model folder of megabase, or a model to -hf layout."""

import logging
from pathlib import Path

from megabase.jobs.job_check import check_convert
from megabase.model.load import load, save, save_published
from megabase.model.published import check_hf
from megabase.model.weights import weights_sha256
from megabase.run.output import Output, only_writer, record_of, whole_files

_log = logging.getLogger(__name__)


def convert(
    source: str, output: Path, *, layout: str = "megabase", overwrite: bool = False
) -> None:
    """Write a model as a megabase folder, or in the layout of the released ``-hf`` folders.

    Parameters
    ----------
    source
        Folder, file or hub id of the model.
    output
        The folder to write.
    layout
        ``megabase``, or ``hf`` for the layout of the released folders.
    overwrite
        Whether an existing output may be replaced.

    Raises
    ------
    InputError
        If the source is not a HyenaDNA model, or the layout cannot represent its architecture.
    """
    check_convert(source, output, layout=layout)
    loaded = load(source)
    model = loaded.model
    if layout == "hf":
        check_hf(model.config)
    request = {"command": "convert", "model": weights_sha256(model), "layout": layout}
    place = Output(output, request, is_folder=True, overwrite=overwrite)
    if place.is_finished:
        return
    record = record_of(source)
    trained = record["results"].get("genomes", {}) if record else {}
    with only_writer(output):
        place.start()
        with whole_files(output) as folder:
            (save if layout == "megabase" else save_published)(model, folder)
        place.finish(source=source, revision=loaded.revision, genomes=trained)
    _log.info("%s: wrote %s in the %s layout", source, output, layout)
