"""Convert the cells of a Parquet column to text: text, numbers, truth values, and lists."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from megabase.errors import InputError

LIST_JOINT = ";"
"""The separator between the values of a list in a cell of text."""


class ParquetColumn(NamedTuple):
    """A column in a batch of rows of a Parquet file.

    Parameters
    ----------
    path, name
        The file and the column.
    n_before
        Number of rows before the batch.
    may_be_list
        Whether a cell may have several values.
    """

    path: str
    name: str
    n_before: int
    may_be_list: bool

    def texts(self, values: Any) -> list[str]:  # noqa: ANN401 a pyarrow.Array
        """Return each cell as text.

        Parameters
        ----------
        values
            The cells of the column, a `pyarrow.Array`.

        Raises
        ------
        InputError
            If the values are of an unsupported type, or a cell is not UTF-8 text.
        """
        import pyarrow  # noqa: PLC0415 optional dependency

        if isinstance(values, pyarrow.ExtensionArray):
            values = values.storage
        if pyarrow.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        kind = values.type
        if _is_list(kind):
            if not self.may_be_list:
                raise self._refused(kind, "one value in each row; several labels are read with "
                                          "--kind multilabel")  # fmt: skip
            text_of = self._text_of(kind.value_type)
            return [self._joined(row, cell, text_of) for row, cell in self._cells(values)]
        if pyarrow.types.is_temporal(kind) and not pyarrow.types.is_duration(kind):
            values = values.cast(pyarrow.string())
        text_of = self._text_of(values.type)
        return [
            self._text(row, cell, text_of) if cell is not None else ""
            for row, cell in self._cells(values)
        ]

    def _cells(self, values: Any) -> Iterator[tuple[int, Any]]:  # noqa: ANN401 a pyarrow object
        try:
            return enumerate(values.to_pylist(), start=self.n_before + 1)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.path}, column {self.name!r}: a cell is not UTF-8 text ({error}) in the "
                f"{len(values):,} rows from row {self.n_before + 1:,} on"
            ) from error

    def _text_of(self, kind: Any) -> Callable[[Any], str]:  # noqa: ANN401 a pyarrow object
        """Return the function that converts values of a type to text."""
        from pyarrow import types  # noqa: PLC0415 optional dependency

        if types.is_dictionary(kind):
            kind = kind.value_type
        if _is_text(kind) or types.is_null(kind):
            return str
        if types.is_binary(kind) or types.is_large_binary(kind) or _is_other_binary(kind):
            return _decoded
        if types.is_float16(kind) or types.is_float32(kind):
            return _short
        if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
            return str
        if types.is_decimal(kind):
            return "{:f}".format
        raise self._refused(kind, "text, numbers, truth values, or lists of those")

    def _text(self, row: int, cell: object, text_of: Callable[[Any], str]) -> str:
        try:
            text = text_of(cell)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.path}, row {row:,}, column {self.name!r}: the bytes {cell!r:.40} are not "
                "UTF-8 text"
            ) from error
        if "\0" in text:
            raise InputError(f"{self.path}, row {row:,}, column {self.name!r} has a NUL byte")
        return text

    def _joined(
        self, row: int, cell: Sequence[object] | None, text_of: Callable[[Any], str]
    ) -> str:
        texts = [
            "" if each is None else self._text(row, each, text_of)
            for each in (() if cell is None else cell)
        ]
        if odd := [text for text in texts if not text.strip() or LIST_JOINT in text]:
            raise InputError(
                f"{self.path}, row {row:,}, column {self.name!r}: a value of the list is "
                f"{odd[0]!r}; expected texts that are not empty and contain no {LIST_JOINT!r}"
            )
        return LIST_JOINT.join(texts)

    def _refused(self, kind: object, expected: str) -> InputError:
        return InputError(
            f"{self.path}, from row {self.n_before + 1:,}, column {self.name!r} is of the type "
            f"{kind}; expected {expected}"
        )


def _is_list(kind: Any) -> bool:  # noqa: ANN401 a pyarrow.DataType
    from pyarrow import types  # noqa: PLC0415 optional dependency

    tests = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(
        getattr(types, test, _never)(kind) for test in tests
    )  # old versions of pyarrow lack some


def _is_text(kind: Any) -> bool:  # noqa: ANN401 a pyarrow object
    from pyarrow import types  # noqa: PLC0415 optional dependency

    tests = ("is_string", "is_large_string", "is_string_view")
    return any(getattr(types, test, _never)(kind) for test in tests)


def _is_other_binary(kind: Any) -> bool:  # noqa: ANN401 a pyarrow object
    from pyarrow import types  # noqa: PLC0415 optional dependency

    tests = ("is_fixed_size_binary", "is_binary_view")
    return any(getattr(types, test, _never)(kind) for test in tests)


def _never(_: object) -> bool:
    return False


def _decoded(value: bytes) -> str:
    return value.decode()


def _short(value: float) -> str:
    """Return the shortest text of the same 32-bit number: 0.1, not 0.10000000149."""
    return str(np.float32(value))
