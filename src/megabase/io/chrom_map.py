"""Which contig of a genome a name of another file means."""

from pathlib import Path

from megabase.errors import InputError
from megabase.io.compression import open_text


def read_chrom_map(
    path: Path, *, names_of: str = "of the VCF file and of the genome"
) -> dict[str, str]:
    """Read lines of two names of a contig: the one that is found, and the one that it means.

    Parameters
    ----------
    path
        Text of two columns.
    names_of
        What the two names are, for errors.

    Raises
    ------
    InputError
        If there is no such file, it is not text, or at the first line that has not two columns,
        or gives a name another meaning.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path} with names of contigs")
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
