"""A bedGraph has a line for each base with a value."""

import numpy as np
import pytest

from megabase.errors import WorkError
from megabase.genome.interval import Interval
from megabase.io import tracks as module
from megabase.io.tracks import write_bedgraph, write_bigwig


def test_positions_are_half_open_and_missing_values_left_out(tmp_path):
    path = tmp_path / "values.bedgraph"
    with path.open("w") as file:
        write_bedgraph(file, Interval("chrI", 5, 8), np.array([-1.5, np.nan, 0.123456789]))
    assert path.read_text() == "chrI\t5\t6\t-1.5\nchrI\t7\t8\t0.123457\n"


def test_each_value_stands_in_its_place_however_few_are_listed_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    path = tmp_path / "values.bedgraph"
    with path.open("w") as file:
        write_bedgraph(file, Interval("chrI", 5, 10), np.array([1.0, 2.0, np.nan, 4.0, 5.0]))
    rows = [line.split() for line in path.read_text().splitlines()]
    assert [(int(row[1]), float(row[3])) for row in rows] == [(5, 1), (6, 2), (8, 4), (9, 5)]


def test_values_that_break_off_make_no_bigwig(tmp_path):
    pytest.importorskip("pybigtools")

    def broken():
        yield Interval("chrI", 0, 3), np.ones(3, dtype=np.float32)
        raise OSError

    with pytest.raises(WorkError, match="could not be written"):
        write_bigwig(tmp_path / "a.bw", {"chrI": 9}, broken())
    assert not list(tmp_path.iterdir())
