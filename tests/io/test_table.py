"""A table is a header and rows, split by tabs, or the same as Parquet."""

import pytest
from pyarrow import parquet

from megabase.io import table
from megabase.io.table import read_rows, read_table, write_parquet, write_table


def write(path, columns, rows):
    with path.open("w") as file:
        write_table(file, columns, rows)
    return path.read_text()


def test_rows_follow_the_header(tmp_path):
    rows = [{"value": 1 / 3, "name": "a"}, {"name": "b", "value": 2}]
    text = write(tmp_path / "table.tsv", ["name", "value"], rows)
    assert text == "name\tvalue\na\t0.33333333\nb\t2\n"


def test_a_row_with_another_column_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="other"):
        write(tmp_path / "table.tsv", ["name"], [{"name": "a", "other": 1}])


def test_a_quotation_mark_is_a_letter_like_others(tmp_path):
    assert write(tmp_path / "table.tsv", ["name"], [{"name": 'a "q"'}]) == 'name\na "q"\n'


def test_what_is_missing_is_nothing_and_a_truth_is_a_word(tmp_path):
    rows = [{"value": None, "is_so": True}, {"value": 2.5, "is_so": False}]
    assert write(tmp_path / "table.tsv", ["value", "is_so"], rows) == (
        "value\tis_so\n\ttrue\n2.5\tfalse\n"
    )


def test_parquet_gives_rows_back_in_groups_with_their_kinds_and_notes(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_ROWS_IN_GROUP", 2)
    columns = {"name": str, "n": int, "value": float, "is_so": bool}
    rows = [
        {"name": text, "n": n, "value": value, "is_so": value is None}
        for n, (text, value) in enumerate([("a", 1 / 3), (None, None), ("c", -2.0)])
    ]
    path = tmp_path / "table.parquet"
    write_parquet(path, columns, iter(rows), {"made by": "a test"})
    with parquet.ParquetFile(path) as file:
        assert file.metadata.num_row_groups == 2
        assert file.read().to_pylist() == rows
        assert file.schema_arrow.metadata == {b"made by": b"a test"}
        assert list(map(str, file.schema_arrow.types)) == ["string", "int64", "double", "bool"]
    write_parquet(path, columns, [], {})
    assert parquet.read_table(path).num_rows == 0


def test_a_row_of_parquet_without_a_column_is_an_error(tmp_path):
    with pytest.raises(KeyError, match="n"):
        write_parquet(tmp_path / "table.parquet", {"n": int}, [{}], {})


def test_what_was_written_is_read(tmp_path):
    write(tmp_path / "table.tsv", ["name", "value"], [{"name": 'a "q"', "value": 0.5}])
    with (tmp_path / "table.tsv").open() as file:
        assert list(read_table(file, ["value"], name="t")) == [{"name": 'a "q"', "value": "0.5"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t is empty; a table has a line with the names"),
        ("name\tother\na\tb\n", "t has no column 'value'; it has name, other"),
        ("name\tvalue\na\t1\n\nb\n", "t, line 4: expected 2 columns, got 1"),
    ],
)
def test_a_table_that_is_another_is_an_error(tmp_path, text, message):
    (tmp_path / "table.tsv").write_text(text)
    with (tmp_path / "table.tsv").open() as file, pytest.raises(ValueError, match=message):
        list(read_table(file, ["value"], name="t"))


def test_commas_may_separate_and_cells_be_quoted_and_long(tmp_path):
    long = "A" * 200_000
    (tmp_path / "table.csv").write_text(f'name,value\n"a,b",1\nc,{long}\n')
    with (tmp_path / "table.csv").open() as file:
        rows = list(read_table(file, ["value"], name="t", delimiter=","))
    assert rows == [{"name": "a,b", "value": "1"}, {"name": "c", "value": long}]


def test_parquet_is_read_as_text_like_the_others(tmp_path):
    path = tmp_path / "table.parquet"
    rows = [{"name": "a", "value": 1}, {"name": "b", "value": None}]
    write_parquet(path, {"name": str, "value": int}, rows, {})
    assert list(read_rows(path, ["name"])) == [
        {"name": "a", "value": "1"},
        {"name": "b", "value": ""},
    ]
    with pytest.raises(ValueError, match="has no column 'label'; it has name, value"):
        list(read_rows(path, ["label"]))
    path.write_text("name,value\n")
    with pytest.raises(ValueError, match="is no whole Parquet file"):
        list(read_rows(path, []))
