"""Open a genome by what people call it."""

from megabase.genome.reference import Reference
from megabase.io.genome_file import open_reference
from megabase.run.location import cache_folder, genome_path


def open_genome(name: str) -> Reference:
    """Open FASTA (plain, gzip or bgzip), 2bit, or ``asset:ecoli``.

    Parameters
    ----------
    name
        A path, or ``asset:NAME`` for what ships with the package. Indexes and unpacked copies
        that cannot stand beside the file go into the cache.

    Raises
    ------
    InputError
        If there is no such genome, or it cannot be read.
    """
    return open_reference(genome_path(name), cache=cache_folder())
