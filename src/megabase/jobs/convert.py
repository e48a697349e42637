"""Any published folder or file to a plain model folder, and ours back to the -hf layout."""

import logging
from pathlib import Path

from megabase.errors import InputError
from megabase.model.load import load, save, save_published, weights_sha256
from megabase.model.published import check_hf
from megabase.run.output import Output, only_writer, record_of, whole_files

_log = logging.getLogger(__name__)

LAYOUTS = ("megabase", "hf")


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
        One of `LAYOUTS`.
    overwrite
        Whether what is there may be replaced.

    Raises
    ------
    InputError
        If the source is no HyenaDNA model, or the layout has no place for its architecture.
    """
    if layout not in LAYOUTS:
        raise InputError(f"a layout is one of {', '.join(LAYOUTS)}; got {layout!r}")
    if Path(source).exists() and Path(source).absolute() == output.absolute():
        raise InputError(f"{output} is the model to convert; choose another output")
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
