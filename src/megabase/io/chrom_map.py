"""Maps from contig names of another file to those of the genome."""

from pathlib import Path

from megabase.errors import InputError
from megabase.io.compression import open_text


def read_chrom_map(
    path: Path, *, names_of: str = "of the VCF file and of the genome"
) -> dict[str, str]:
    """Read a map of contig names: each line has a name in a file and a name in the genome.

    Parameters
    ----------
    path
        Text with two columns, separated by spaces or tabs.
    names_of
        Description of the two names, for errors.

    Raises
    ------
    InputError
        If the file is missing or not text, a line has not two columns, or a name is mapped twice
        differently.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path} with contig names")
    with open_text(path) as file:
        lines = [line.rstrip("\n") for line in file]
    names: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        columns = line.split()
        if columns and len(columns) != 2:
            raise InputError(f"{path}, line {number}: expected two names, {names_of}; got {line!r}")
        if columns and names.setdefault(columns[0], columns[1]) != columns[1]:
            raise InputError(
                f"{path}, line {number}: {columns[0]!r} is {columns[1]!r} here and "
                f"{names[columns[0]]!r} above; keep one of the lines"
            )
    return names
