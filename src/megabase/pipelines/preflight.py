"""Checks of the options of predict and convert that run before torch is imported."""

from pathlib import Path

from megabase.errors import InputError
from megabase.inference.choices import strands_of
from megabase.io.compression import uncompressed_name
from megabase.io.tables import delimiter_to_write
from megabase.model.files import find_model
from megabase.runtime.artifacts import check_no_input, check_place
from megabase.runtime.location import check_exists, genome_path

LAYOUTS = ("megabase", "hf")
"""Layouts of the folder that convert writes."""


def check_predict(
    model: str, source: Path, output: Path, *, genome: str | None, strand: str
) -> None:
    """Check the options of `predict.predict`, which documents them, and that inputs exist.

    Raises
    ------
    InputError
        If an option is invalid, the model or an input is missing, or the output cannot be a file.
    """
    if source.is_dir():
        raise InputError(f"{source} is a folder; predict reads one table or FASTA file")
    check_no_input(output, [source, *([genome_path(genome)] if genome else [])])
    delimiter_to_write(output)
    strands_of(strand)
    check_exists(source, "file")
    if genome is not None:
        check_exists(genome_path(genome), "genome")
    check_place(output, is_folder=False)
    find_model(model)


def suffix_on_stream(source: Path) -> str:
    """Return the suffix of predictions on standard output: CSV if the input is CSV, else TSV."""
    return ".csv" if uncompressed_name(source).lower().endswith(".csv") else ".tsv"


def check_convert(source: str, output: Path, *, layout: str) -> None:
    """Check the options of `models.convert`, which documents them, and that the model exists.

    Raises
    ------
    InputError
        If the layout is unknown, the model is missing, or the output is the model or cannot be
        a folder.
    """
    if layout not in LAYOUTS:
        raise InputError(f"the layout must be one of {', '.join(LAYOUTS)}; got {layout!r}")
    if Path(source).exists() and Path(source).absolute() == output.absolute():
        raise InputError(f"{output} is the model to convert; choose another output")
    check_place(output, is_folder=True)
    find_model(source)
