"""Open whatever file holds a genome."""

from pathlib import Path

from megabase.genome.reference import Reference
from megabase.io.fasta import FastaReference
from megabase.io.twobit import TwoBitReference


def open_reference(path: Path, *, cache: Path) -> Reference:
    """Open a genome by its suffix: `.2bit`, or else FASTA.

    Parameters
    ----------
    path
        The file.
    cache
        Folder for indexes and unpacked copies that cannot stand beside the file.
    """
    if path.suffix == ".2bit":
        return TwoBitReference(path)
    return FastaReference(path, cache=cache)
