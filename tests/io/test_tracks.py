"""A bedGraph has a line for each base with a value."""

import numpy as np

from megabase.genome.interval import Interval
from megabase.io.tracks import write_bedgraph


def test_positions_are_half_open_and_missing_values_left_out(tmp_path):
    path = tmp_path / "values.bedgraph"
    with path.open("w") as file:
        write_bedgraph(file, Interval("chrI", 5, 8), np.array([-1.5, np.nan, 0.123456789]))
    assert path.read_text() == "chrI\t5\t6\t-1.5\nchrI\t7\t8\t0.123457\n"
