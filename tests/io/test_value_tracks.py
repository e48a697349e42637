"""A bedGraph has a line for each base with a value."""

import numpy as np
import pytest

from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.io import value_tracks as module
from megabase.io.value_tracks import BigWig, write_bedgraph, write_bigwig
from tests.full_disk import file_limit


def test_positions_are_half_open_and_missing_values_left_out(tmp_path):
    path = tmp_path / "values.bedgraph"
    with path.open("w") as file:
        write_bedgraph(file, Interval("chrI", 5, 8), np.array([-1.5, np.nan, 0.123456789]))
    assert path.read_text() == "chrI\t5\t6\t-1.5\nchrI\t7\t8\t0.123457\n"


def test_each_value_is_at_its_position_however_few_are_listed_at_a_time(tmp_path, monkeypatch):
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


VALUES = np.linspace(0, 1, 20_000, dtype=np.float32)
VALUES[100:200] = np.nan


def test_a_bigwig_reads_as_it_was_written(tmp_path):
    pytest.importorskip("pybigtools")
    place = Interval("chrI", 5, 20_005)
    write_bigwig(tmp_path / "a.bw", {"chrI": 30_000, "empty": 9}, [(place, VALUES)])
    found = BigWig(tmp_path / "a.bw").values(Interval("chrI", 0, 20_010))
    assert np.isnan(found[[0, 4, 105, 204, 20_005]]).all()
    np.testing.assert_array_equal(found[5:20_005], VALUES)


def test_a_bigwig_on_a_full_disk_is_not_written_and_nothing_is_printed(tmp_path, capfd):
    """At the last byte the library itself reports nothing; at others it panics or prints."""
    pytest.importorskip("pybigtools")
    tracks = [(Interval("chrI", 0, 20_000), VALUES)]
    write_bigwig(tmp_path / "whole.bw", {"chrI": 20_000}, tracks)
    size = (tmp_path / "whole.bw").stat().st_size
    (tmp_path / "whole.bw").unlink()
    capfd.readouterr()
    for limit in (0, 100, 1_000, size // 2, size - 5_000, size - 100, size - 4, size - 1):
        with (
            file_limit(limit),
            pytest.raises(WorkError, match="could not be written"),
        ):
            write_bigwig(tmp_path / "cut.bw", {"chrI": 20_000}, tracks)
        assert not list(tmp_path.iterdir()), limit
    assert capfd.readouterr().err == ""


def test_a_damaged_bigwig_is_one_error(tmp_path, capfd):
    pytest.importorskip("pybigtools")
    path, place = tmp_path / "a.bw", Interval("chrI", 0, 20_000)
    write_bigwig(path, {"chrI": 20_000}, [(place, VALUES)])
    whole = path.read_bytes()
    half = len(whole) // 2
    damaged = {
        "cut": whole[:half],
        "zeros": whole[:1_000] + bytes(half) + whole[1_000 + half :],
        "text": b"chrI\t0\t1\t0.5\n",
    }
    for name, content in damaged.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.bw"):
            list(BigWig(path).entries(place))
        assert capfd.readouterr().err == "", name
