"""Site: a place of the genome, its reference allele and the alternatives."""

from typing import NamedTuple


class Site(NamedTuple):
    """What one record of a VCF file says of the genome.

    Parameters
    ----------
    contig
        Name of the sequence.
    position
        0-based position of the first letter of `ref`.
    ref
        The reference allele, in letters.
    alts
        The alternative alleles as they are written: letters, or what is no sequence,
        such as ``<DEL>`` or ``*``.
    """

    contig: str
    position: int
    ref: str
    alts: tuple[str, ...]
