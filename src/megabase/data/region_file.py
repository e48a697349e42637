"""Read the regions of a BED file and check them against their genome."""

from pathlib import Path

from megabase.data.token_store import TokenStore
from megabase.genome.interval import Interval
from megabase.genome.reference import check_inside
from megabase.io.bed import read_bed


def read_regions(path: Path, store: TokenStore) -> list[Interval]:
    """Read the intervals of a BED file, all of which must lie in the genome of `store`.

    Raises
    ------
    InputError
        If the file is not valid BED, or an interval is not inside the genome.
    """
    intervals = [record.interval for record in read_bed(path)]
    for interval in intervals:
        check_inside(interval, store.lengths, store.name)
    return intervals
