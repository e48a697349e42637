"""Open a genome by path or asset name."""

from megabase.genome.reference import Reference
from megabase.io.genome_file import open_reference
from megabase.run.location import cache_folder, genome_path


def open_genome(name: str) -> Reference:
    """Open FASTA (plain, gzip or bgzip), 2bit, or ``asset:ecoli``.

    Parameters
    ----------
    name
        A path, or ``asset:NAME`` for a genome that ships with the package. Indexes and unpacked
        copies that cannot be written next to the file go into the cache.

    Raises
    ------
    InputError
        If the genome does not exist or cannot be read.
    """
    return open_reference(genome_path(name), cache=cache_folder())
