"""Which contig of a genome a name of another file means."""

from pathlib import Path

from megabase.errors import InputError


def read_chrom_map(path: Path) -> dict[str, str]:
    """Read lines of two names: of a contig in the VCF file, and of the same in the genome.

    Raises
    ------
    InputError
        If there is no such file, or at the first line that has not two columns.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path} with names of contigs")
    names: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        columns = line.split()
        if columns and len(columns) != 2:
            raise InputError(
                f"{path}, line {number}: expected two names, of the VCF file and of the genome; "
                f"got {line!r}"
            )
        if columns:
            names[columns[0]] = columns[1]
    return names
