"""A genome, and the intervals of a BED file that are of it."""

from pathlib import Path

from megabase.genome.reference import Reference, check_inside
from megabase.io.bed import BedRecord, read_bed
from megabase.io.genome_file import open_reference
from megabase.run.location import cache_folder, genome_path


def open_regions(genome: str, regions: Path) -> tuple[Reference, list[BedRecord]]:
    """Open a genome, and read the intervals of a BED file.

    Raises
    ------
    InputError
        If either cannot be read, or an interval lies beyond its contig.
    """
    reference = open_reference(genome_path(genome), cache=cache_folder())
    records = read_bed(regions)
    for record in records:
        check_inside(record.interval, reference.lengths, reference.name)
    return reference, records
