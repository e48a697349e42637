"""Open a genome file of any supported format."""

from pathlib import Path

from megabase.errors import InputError
from megabase.genome.reference import Reference
from megabase.io.compression import compression, file_format
from megabase.io.fasta import FastaReference
from megabase.io.file_format import EMPTY, FASTA, TEXT, TWOBIT, unsupported
from megabase.io.twobit import TwoBitReference


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
