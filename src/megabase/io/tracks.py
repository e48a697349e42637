"""A value for each base, as bedGraph."""

from typing import IO

import numpy as np
from jaxtyping import Float

from megabase.genome.interval import Interval


def write_bedgraph(file: IO[str], interval: Interval, values: Float[np.ndarray, " length"]) -> None:
    """Write one line per base, 0-based and half-open; a base whose value is NaN is left out.

    Parameters
    ----------
    file
        An open text file.
    interval
        Where the values lie.
    values
        One per base, in the order of the forward strand.
    """
    for offset in np.flatnonzero(~np.isnan(values)).tolist():
        position = interval.start + offset
        file.write(f"{interval.contig}\t{position}\t{position + 1}\t{values[offset]:.6g}\n")
