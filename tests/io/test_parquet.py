"""Each kind of Parquet column is read as the text it stands for, or refused by name."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from megabase.errors import InputError
from megabase.io.tables import read_rows

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def cells(tmp_path, values, kind=None, columns=(), list_columns=()):
    array = values if isinstance(values, pyarrow.Array) else pyarrow.array(values, kind)
    parquet.write_table(pyarrow.table({"x": array}), tmp_path / "t.parquet")
    rows = read_rows(tmp_path / "t.parquet", columns, list_columns=list_columns)
    return [row["x"] for row in rows]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["a", "é", None], pyarrow.string(), ["a", "é", ""]),
        (["a", None], pyarrow.large_string(), ["a", ""]),
        ([b"neg", "é".encode(), None], pyarrow.binary(), ["neg", "é", ""]),
        ([b"neg"], pyarrow.large_binary(), ["neg"]),
        ([b"neg"], pyarrow.binary(3), ["neg"]),
        ([1, -2, None], pyarrow.int8(), ["1", "-2", ""]),
        ([2**63], pyarrow.uint64(), [str(2**63)]),
        ([0.1, float("nan"), None], pyarrow.float64(), ["0.1", "nan", ""]),
        ([0.1, 1.0, None], pyarrow.float32(), ["0.1", "1.0", ""]),
        ([0.5], pyarrow.float16(), ["0.5"]),
        ([True, False, None], pyarrow.bool_(), ["True", "False", ""]),
        ([Decimal("1.50"), None], pyarrow.decimal128(5, 2), ["1.50", ""]),
        ([None, None], pyarrow.null(), ["", ""]),
        ([datetime(2026, 1, 2, tzinfo=UTC)], pyarrow.date32(), ["2026-01-02"]),
    ],
)
def test_text_numbers_and_truths_are_text(tmp_path, values, kind, expected):
    assert cells(tmp_path, values, kind, columns=["x"]) == expected


@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.binary()])
def test_a_dictionary_is_read_as_what_it_stands_for(tmp_path, kind):
    values = pyarrow.array(["b", "a", None, "b"]).cast(kind).dictionary_encode()
    assert cells(tmp_path, values, columns=["x"]) == ["b", "a", "", "b"]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([["a", "b"], ["b"], [], None], pyarrow.list_(pyarrow.string()), ["a;b", "b", "", ""]),
        ([[b"a", b"b"]], pyarrow.large_list(pyarrow.binary()), ["a;b"]),
        ([[1, 2]], pyarrow.list_(pyarrow.int64(), 2), ["1;2"]),
        ([[0.1]], pyarrow.list_(pyarrow.float32()), ["0.1"]),
    ],
)
def test_a_list_is_its_values_where_there_may_be_several(tmp_path, values, kind, expected):
    assert cells(tmp_path, values, kind, columns=["x"], list_columns=["x"]) == expected
    assert cells(tmp_path, values, kind) == expected
    with pytest.raises(InputError, match=r"column 'x' is of the type .*list.* --kind multilabel"):
        cells(tmp_path, values, kind, columns=["x"])


@pytest.mark.parametrize("value", ["a;b", "", " ", None])
def test_a_value_of_a_list_that_its_text_would_not_preserve_is_refused(tmp_path, value):
    with pytest.raises(InputError, match=r"t\.parquet, row 2, column 'x': a value of the list"):
        cells(tmp_path, [["a"], ["a", value]], pyarrow.list_(pyarrow.string()))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([{"a": 1}], pyarrow.struct({"a": pyarrow.int64()})),
        ([[("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        ([[["a"]]], pyarrow.list_(pyarrow.list_(pyarrow.string()))),
        ([[{"a": 1}]], pyarrow.list_(pyarrow.struct({"a": pyarrow.int64()}))),
        ([timedelta(1)], pyarrow.duration("s")),
    ],
)
def test_another_kind_is_refused_by_column_and_type(tmp_path, values, kind):
    with pytest.raises(InputError, match=r"column 'x' is of the type .*; expected text, numbers"):
        cells(tmp_path, values, kind, list_columns=["x"])


def test_bytes_that_are_not_text_are_refused_by_row(tmp_path):
    with pytest.raises(InputError, match=r"row 2, column 'x': the bytes b'.xff' are not UTF-8"):
        cells(tmp_path, [b"a", b"\xff"], pyarrow.binary())
    with pytest.raises(InputError, match="row 1, column 'x' has a NUL byte"):
        cells(tmp_path, ["a\0"], pyarrow.string())
