"""Open whatever file holds a genome, and map contig names of another file to it."""

from pathlib import Path

from megabase.errors import InputError
from megabase.genome.reference import Reference
from megabase.io.compression import (
    EMPTY,
    FASTA,
    TEXT,
    TWOBIT,
    compression,
    file_format,
    open_text,
    unsupported,
)
from megabase.io.fasta import FastaReference
from megabase.io.twobit import TwoBitReference


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


def open_reference(path: Path, *, cache: Path) -> Reference:
    """Open a genome, FASTA or 2bit, recognised by its content.

    Parameters
    ----------
    path
        The file.
    cache
        Folder for indexes and unpacked copies.

    Raises
    ------
    InputError
        If the file is missing, of another format, truncated or damaged.
    """
    if not path.is_file():
        raise InputError(f"there is no genome file {path}; give the path of a FASTA or 2bit file")
    found = file_format(path)
    if found == TWOBIT and compression(path) != "none":
        raise InputError(f"{path} is a compressed 2bit file; unpack it")
    if found == TWOBIT or (path.suffix.lower() == ".2bit" and found != FASTA):
        return TwoBitReference(path)
    if found not in (FASTA, EMPTY, TEXT):
        raise unsupported(path, found, "a genome: FASTA (plain, gzip or bgzip) or 2bit")
    return FastaReference(path, cache=cache)
