"""Rows of numbers with their names as npz, HDF5 or Parquet, written batch by batch.

The bytes of a file depend on its content only, not on time or chance.
"""

import errno
import json
import re
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from megabase.errors import InputError

NPZ = (".npz",)
HDF5 = (".h5", ".hdf5")
PARQUET = (".parquet",)
"""The suffixes of each format."""

_EXTRAS = {"h5py": ("hdf5", HDF5), "pyarrow": ("parquet", PARQUET)}
_ROWS_IN_GROUP = 1 << 14  # rows of a Parquet row group
_ERRNO = re.compile(r"errno = (\d+)")
_SEQUENCES_AT_ONCE = 64  # sequences read at once
_TEXTS_AT_ONCE = 4096  # names or reasons that are written to HDF5 at once


class Rows(NamedTuple):
    """The rows of several sequences, concatenated.

    Parameters
    ----------
    names
        Names of the sequences.
    counts
        Number of rows of each sequence.
    skip_reasons
        The reason why a sequence was skipped; empty if it has numbers.
    values
        The rows of all sequences.
    """

    names: list[str]
    counts: list[int]
    skip_reasons: list[str]
    values: Float[np.ndarray, "row channel"]


class Layout(NamedTuple):
    """The sizes and types of a file, known before the first row is written.

    Parameters
    ----------
    n_sequences, n_rows, n_channels
        Number of sequences, of rows of all sequences, and of numbers in a row.
    dtype
        NumPy type of the numbers.
    longest_name, longest_reason
        Length of the longest name and of the longest skip reason, in characters.
    bp_per_row
        Distance in bp between the rows of a sequence; 0 if each sequence has one row.
    has_reasons
        Whether sequences may be skipped.
    notes
        Metadata about the origin of the numbers.
    """

    n_sequences: int
    n_rows: int
    n_channels: int
    dtype: str
    longest_name: int
    longest_reason: int
    bp_per_row: int
    has_reasons: bool
    notes: Mapping[str, Any]


Read = Callable[[], Iterator[Rows]]
"""A function that yields all rows from the first on, each time it is called."""


def check_arrays(path: Path) -> None:
    """Raise an InputError unless the format of a file can be written; call this before long work.

    Parameters
    ----------
    path
        The output; its suffix chooses the format.
    """
    known = NPZ + HDF5 + PARQUET
    suffix = path.suffix.lower()
    if suffix not in known:
        raise InputError(
            f"an output must end in {', '.join(known)} (npz, HDF5 or Parquet); got {path}"
        )
    for library, (extra, suffixes) in _EXTRAS.items():
        if suffix in suffixes and find_spec(library) is None:
            raise InputError(
                f"{suffix} needs {library}: pip install 'megabase[{extra}]'; or write .npz"
            )


def write_arrays(path: Path, layout: Layout, read: Read) -> None:
    """Write rows in the format of the suffix.

    npz and HDF5 contain `embeddings` (row, channel) and `names`. If sequences have several
    rows, they contain `offsets`: the rows of sequence i are
    ``embeddings[offsets[i]:offsets[i + 1]]``. If sequences may be skipped, they contain
    `skip_reason`. Parquet has a table row for each row: `name`, `position` (0-based, of the
    first base of the row in its sequence; if there are several rows), `skip_reason`, and the
    list `embedding`.

    Parameters
    ----------
    path
        The file to write.
    layout
        Sizes and types of the rows.
    read
        Yields the rows; called once for each array.
    """
    suffix = path.suffix.lower()
    if suffix in PARQUET:
        _write_parquet(path, layout, read)
    elif suffix in HDF5:
        _write_hdf5(path, layout, read)
    else:
        _write_npz(path, layout, read)


def _offsets(read: Read) -> Iterator[int]:
    return accumulate((count for rows in read() for count in rows.counts), initial=0)


def _write_npz(path: Path, layout: Layout, read: Read) -> None:
    n = layout.n_sequences
    with zipfile.ZipFile(path, "w") as archive:
        shape = (layout.n_rows, layout.n_channels)
        with _member(archive, "embeddings", np.dtype(layout.dtype), shape) as file:
            for rows in read():
                file.write(rows.values.tobytes())
        _write_texts(archive, "names", layout.longest_name, n, (rows.names for rows in read()))
        if layout.bp_per_row:
            with _member(archive, "offsets", np.dtype("<i8"), (n + 1,)) as file:
                for offset in _offsets(read):
                    file.write(np.array(offset, dtype="<i8").tobytes())
        if layout.has_reasons:
            reasons = (rows.skip_reasons for rows in read())
            _write_texts(archive, "skip_reason", layout.longest_reason, n, reasons)
        notes = np.array(json.dumps(layout.notes))
        with _member(archive, "notes", notes.dtype, ()) as file:
            file.write(notes.tobytes())


@contextmanager
def _member(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> Generator[IO[bytes]]:
    """Open an array of an archive and write its header; ZipInfo has a fixed time by default."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape,
        }  # fmt: skip
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _write_texts(
    archive: zipfile.ZipFile, name: str, longest: int, n: int, texts: Iterable[list[str]]
) -> None:
    dtype = np.dtype(f"<U{max(1, longest)}")
    with _member(archive, name, dtype, (n,)) as file:
        for some in texts:
            file.write(np.array(some, dtype=dtype).tobytes())


def _write_hdf5(path: Path, layout: Layout, read: Read) -> None:
    import h5py  # noqa: PLC0415 optional dependency

    try:
        _fill_hdf5(path, layout, read)
        with h5py.File(path) as file:  # fails on a truncated file
            shape = np.shape(file["embeddings"])  # pyright: ignore[reportCallIssue, reportArgumentType]
            is_whole = shape == (layout.n_rows, layout.n_channels)
    except RuntimeError as error:  # closing failed, for example on a full disk
        number = _ERRNO.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), str(error)) from error
    if not is_whole:
        raise OSError(errno.EIO, "the HDF5 file has other rows than were written")


def _fill_hdf5(path: Path, layout: Layout, read: Read) -> None:
    import h5py  # noqa: PLC0415 optional dependency

    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        file.attrs["notes"] = json.dumps(layout.notes)
        shape = (layout.n_rows, layout.n_channels)
        values = file.create_dataset("embeddings", shape, dtype=layout.dtype)
        names = file.create_dataset("names", (layout.n_sequences,), dtype=text)
        row = 0
        for rows in read():
            values[row : row + len(rows.values)] = rows.values
            row += len(rows.values)
        # Texts one after the other in groups of equal size: otherwise the bytes of the file would
        # depend on how rows are grouped.
        _fill_texts(names, (rows.names for rows in read()))
        if layout.has_reasons:
            reasons = file.create_dataset("skip_reason", (layout.n_sequences,), dtype=text)
            _fill_texts(reasons, (rows.skip_reasons for rows in read()))
        if layout.bp_per_row:
            file["offsets"] = np.fromiter(_offsets(read), dtype=np.int64)


def _fill_texts(array: Any, texts: Iterable[list[str]]) -> None:  # noqa: ANN401 without types
    every, start = chain.from_iterable(texts), 0
    while some := [*islice(every, _TEXTS_AT_ONCE)]:
        array[start : start + len(some)] = some
        start += len(some)


def _write_parquet(path: Path, layout: Layout, read: Read) -> None:
    import pyarrow as pa  # noqa: PLC0415 optional dependency
    from pyarrow import parquet  # noqa: PLC0415

    number = pa.from_numpy_dtype(np.dtype(layout.dtype))
    fields = [("name", pa.string())]
    fields += [("position", pa.int64())] if layout.bp_per_row else []
    fields += [("skip_reason", pa.string())] if layout.has_reasons else []
    schema = pa.schema(
        [*fields, ("embedding", pa.list_(number))], metadata={"notes": json.dumps(layout.notes)}
    )
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
        for lines in _regrouped(_lines(read, layout)):
            ends = np.arange(len(lines["name"]) + 1, dtype=np.int32) * layout.n_channels
            flat = np.ascontiguousarray(lines["embedding"]).reshape(-1)
            lists = pa.ListArray.from_arrays(ends, pa.array(flat, number))
            columns = [pa.array(lines[name], kind) for name, kind in fields]
            writer.write_table(pa.Table.from_arrays([*columns, lists], schema=schema))


def _lines(read: Read, layout: Layout) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns of a table with one table row for each row."""
    for rows in read():
        counts = np.array(rows.counts, dtype=np.int64)
        within = [np.arange(count, dtype=np.int64) for count in rows.counts]
        yield {
            "name": np.repeat(np.array(rows.names, dtype=object), counts),
            "position": np.concatenate([*within, np.empty(0, np.int64)]) * layout.bp_per_row,
            "skip_reason": np.repeat(np.array(rows.skip_reasons, dtype=object), counts),
            "embedding": rows.values,
        }


def _regrouped(lines: Iterator[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the lines in groups of equal size; the last may be smaller."""
    held: list[dict[str, np.ndarray]] = []
    n_held = 0
    for some in lines:
        start, n = 0, len(some["name"])
        while start < n:
            end = min(n, start + _ROWS_IN_GROUP - n_held)
            held.append({name: values[start:end] for name, values in some.items()})
            n_held, start = n_held + end - start, end
            if n_held == _ROWS_IN_GROUP:
                yield _stacked(held)
                held, n_held = [], 0
    if held:
        yield _stacked(held)


def _stacked(held: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([some[name] for some in held]) for name in held[0]}


def read_arrays(path: Path) -> tuple[Layout, Read]:
    """Open a file that `write_arrays` wrote.

    Returns
    -------
    layout
        Sizes and types of the rows; `bp_per_row` is only 0 or 1.
    read
        Yields the rows of several sequences at a time, in order.

    Raises
    ------
    InputError
        If the file is truncated or damaged, or was not written by `write_arrays`.
    """
    suffix = path.suffix.lower()
    readers = {PARQUET: _open_parquet, HDF5: _open_hdf5, NPZ: _open_npz}
    opened = next(reader for suffixes, reader in readers.items() if suffix in suffixes)
    try:
        return opened(path)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is damaged, or was not written by megabase embed ({error})"
        ) from error


def _open_npz(path: Path) -> tuple[Layout, Read]:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "embeddings"}
    with zipfile.ZipFile(path) as archive, archive.open("embeddings.npy") as member:
        shape, dtype = _read_header(member)
    columns = _Columns(
        arrays["names"].tolist(), arrays.get("offsets"), _listed(arrays.get("skip_reason"))
    )

    def read() -> Iterator[Rows]:
        with zipfile.ZipFile(path) as archive, archive.open("embeddings.npy") as member:
            _read_header(member)
            for names, counts, reasons in columns.batches():
                n_bytes = sum(counts) * shape[1] * dtype.itemsize
                values = np.frombuffer(member.read(n_bytes), dtype=dtype)
                yield Rows(names, counts, reasons, values.reshape(sum(counts), shape[1]))

    return columns.layout(shape, dtype, json.loads(str(arrays["notes"]))), read


def _read_header(member: IO[bytes] | zipfile.ZipExtFile) -> tuple[tuple[int, ...], np.dtype[Any]]:
    np.lib.format.read_magic(member)
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    return shape, dtype


def _open_hdf5(path: Path) -> tuple[Layout, Read]:
    import h5py  # noqa: PLC0415 optional dependency

    with h5py.File(path) as opened:
        file: Any = opened  # h5py types its members as groups, too
        shape, dtype = file["embeddings"].shape, file["embeddings"].dtype
        notes = json.loads(file.attrs["notes"])
        texts = {
            name: file[name].asstr()[:].tolist()
            for name in ("names", "skip_reason")
            if name in file
        }
        offsets = file["offsets"][:] if "offsets" in file else None
    columns = _Columns(texts["names"], offsets, texts.get("skip_reason"))

    def read() -> Iterator[Rows]:
        with h5py.File(path) as opened:
            file: Any = opened
            start = 0
            for names, counts, reasons in columns.batches():
                end = start + sum(counts)
                yield Rows(names, counts, reasons, file["embeddings"][start:end])
                start = end

    return columns.layout(shape, dtype, notes), read


def _open_parquet(path: Path) -> tuple[Layout, Read]:
    from pyarrow import parquet  # noqa: PLC0415 optional dependency

    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        notes = json.loads(schema.metadata[b"notes"])
        texts = [name for name in schema.names if name != "embedding"]
        rows = file.read(texts).to_pydict()
        dtype = np.dtype(schema.field("embedding").type.value_type.to_pandas_dtype())
        width = next((len(each) for each in _lists(file, 1)), 0)
    # a sequence starts at every row with position 0
    starts = [row for row, at in enumerate(rows.get("position", [])) if at == 0]
    offsets = np.array([*starts, len(rows["name"])]) if "position" in rows else None
    firsts = starts if "position" in rows else range(len(rows["name"]))
    reasons = [rows["skip_reason"][row] for row in firsts] if "skip_reason" in rows else None
    columns = _Columns([rows["name"][row] for row in firsts], offsets, reasons)

    def read() -> Iterator[Rows]:
        with parquet.ParquetFile(path) as file:
            lists = _lists(file, _ROWS_IN_GROUP)
            for names, counts, some in columns.batches():
                found = list(islice(lists, sum(counts)))
                values = np.array(found, dtype=dtype).reshape(len(found), width)
                yield Rows(names, counts, some, values)

    layout = columns.layout((len(rows["name"]), width), dtype, notes)
    return layout, read


def _lists(file: Any, n: int) -> Iterator[np.ndarray]:  # noqa: ANN401 a ParquetFile
    for batch in file.iter_batches(batch_size=n, columns=["embedding"]):
        for each in batch.column(0):
            yield each.values.to_numpy()


class _Columns(NamedTuple):
    """The names, offsets and skip reasons of the sequences of a file."""

    names: list[str]
    offsets: np.ndarray | None
    reasons: list[str] | None

    def batches(self) -> Iterator[tuple[list[str], list[int], list[str]]]:
        """Yield names, row counts and skip reasons of several sequences at a time."""
        n = len(self.names)
        ends = np.arange(n + 1) if self.offsets is None else self.offsets
        counts = np.diff(ends).tolist()
        reasons = self.reasons or [""] * n
        for start in range(0, n, _SEQUENCES_AT_ONCE):
            end = start + _SEQUENCES_AT_ONCE
            yield self.names[start:end], counts[start:end], reasons[start:end]

    def layout(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], notes: Mapping[str, Any]
    ) -> Layout:
        """Return the layout of the file; `bp_per_row` is 1 if sequences have several rows."""
        return Layout(
            n_sequences=len(self.names),
            n_rows=shape[0],
            n_channels=shape[1],
            dtype=str(dtype),
            longest_name=max(map(len, self.names), default=0),
            longest_reason=max(map(len, self.reasons or []), default=0),
            bp_per_row=int(self.offsets is not None),
            has_reasons=self.reasons is not None,
            notes=notes,
        )


def _listed(array: np.ndarray | None) -> list[str] | None:
    return None if array is None else array.tolist()
