"""The three formats hold the same rows, and are functions of them alone."""

from pathlib import Path

import numpy as np
import pytest

from megabase.errors import InputError, WorkError
from megabase.io import arrays
from megabase.io.arrays import Layout, Rows, check_arrays, write_arrays
from megabase.runtime.artifacts import atomic_path
from tests.full_disk import file_limit

VALUES = np.arange(30, dtype=np.float32).reshape(6, 5)
PARTS = [
    Rows(["a", "gene b"], [1, 3], ["", ""], VALUES[:4]),
    Rows([], [], [], VALUES[:0]),
    Rows(["é"], [2], ["mostly_n"], VALUES[4:]),
]
RAGGED = Layout(3, 6, 5, "float32", 6, 8, 7, True, {"command": "embed"})


def read():
    return iter(PARTS)


def read_npz(path):
    with np.load(path) as file:
        return dict(file)


def read_hdf5(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        found = {name: file[name][:] for name in file}
        assert file.attrs["notes"] == '{"command": "embed"}'
    for name in {"names", "skip_reason"} & found.keys():
        found[name] = np.array([text.decode() for text in found[name]])
    return found


@pytest.mark.parametrize(("suffix", "reader"), [(".npz", read_npz), (".h5", read_hdf5)])
def test_rows_of_each_sequence_are_found_by_offsets(tmp_path, suffix, reader):
    path = tmp_path / f"a{suffix}"
    write_arrays(path, RAGGED, read)
    found = reader(path)
    assert np.array_equal(found["embeddings"], VALUES)
    assert found["names"].tolist() == ["a", "gene b", "é"]
    assert found["offsets"].tolist() == [0, 1, 4, 6]
    assert found["skip_reason"].tolist() == ["", "", "mostly_n"]
    write_arrays(path, RAGGED._replace(bp_per_row=0, has_reasons=False), read)
    assert not {"offsets", "skip_reason"} & reader(path).keys()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_parquet_has_a_line_for_each_row(tmp_path, monkeypatch, dtype):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(arrays, "_ROWS_IN_GROUP", 4)
    parts = [each._replace(values=each.values.astype(dtype)) for each in PARTS]
    write_arrays(tmp_path / "a.parquet", RAGGED._replace(dtype=dtype), lambda: iter(parts))
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(2)] == [4, 2]
    found = file.read().to_pydict()
    assert found["name"] == ["a", *["gene b"] * 3, *["é"] * 2]
    assert found["position"] == [0, 0, 7, 14, 0, 7]
    assert found["skip_reason"] == [*[""] * 4, *["mostly_n"] * 2]
    assert np.array_equal(np.array(found["embedding"]), VALUES)


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.parquet"])
def test_no_row_at_all_is_a_file_without_rows(tmp_path, name):
    pytest.importorskip({"h5": "h5py", "parquet": "pyarrow"}.get(name[2:], "numpy"))
    empty = Layout(0, 0, 5, "float32", 0, 0, 0, False, {})
    write_arrays(tmp_path / name, empty, lambda: iter([]))
    if name == "a.npz":
        assert np.load(tmp_path / name)["embeddings"].shape == (0, 5)
    assert (tmp_path / name).stat().st_size > 0


def test_an_unknown_format_and_a_missing_extra_are_named(monkeypatch):
    with pytest.raises(InputError, match=r"must end in .npz, .h5, .hdf5, .parquet .*; got a.txt"):
        check_arrays(Path("a.txt"))
    monkeypatch.setattr(arrays, "find_spec", lambda name: None)
    check_arrays(Path("a.npz"))
    with pytest.raises(InputError, match=r"pip install 'megabase\[hdf5\]'"):
        check_arrays(Path("a.h5"))
    with pytest.raises(InputError, match=r"pip install 'megabase\[parquet\]'"):
        check_arrays(Path("a.parquet"))


@pytest.mark.parametrize(
    ("suffix", "library"), [(".npz", "numpy"), (".h5", "h5py"), (".parquet", "pyarrow")]
)
def test_arrays_on_a_full_disk_are_an_error_and_leave_nothing(tmp_path, suffix, library):
    pytest.importorskip(library)
    n = 5_000
    rows = Rows([f"s{i}" for i in range(n)], [1] * n, [""] * n, np.ones((n, 8), np.float32))
    layout = Layout(n, n, 8, "float32", 5, 0, 0, False, {})
    path = tmp_path / f"a{suffix}"
    write_arrays(path, layout, lambda: iter([rows]))
    size = path.stat().st_size
    path.unlink()
    for limit in (0, 100, size // 3, size - 500, size - 1):
        with file_limit(limit), pytest.raises(WorkError, match=r"could not be written: File too"):
            with atomic_path(path, suffix=suffix) as part:
                write_arrays(part, layout, lambda: iter([rows]))
        assert not list(tmp_path.iterdir()), limit
