"""Any published folder or file to a plain model folder, and ours back to the -hf layout."""

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
    """Write a model as a folder of ours, or in the layout of the released ``-hf`` folders.

    Parameters
    ----------
    source
        What `model.load` takes.
    output
        The folder.
    layout
        One of `check.LAYOUTS`.
    overwrite
        Whether what is there may be replaced.

    Raises
    ------
    InputError
        If the source is no HyenaDNA model, or the layout has no place for its architecture.
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
