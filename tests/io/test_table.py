"""A table is a header and rows, split by tabs."""

import pytest

from megabase.io.table import read_table, write_table


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


def test_what_was_written_is_read(tmp_path):
    write(tmp_path / "table.tsv", ["name", "value"], [{"name": 'a "q"', "value": 0.5}])
    with (tmp_path / "table.tsv").open() as file:
        assert list(read_table(file, ["value"], name="t")) == [{"name": 'a "q"', "value": "0.5"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t has no column 'value'"),
        ("name\tother\na\tb\n", "t has no column 'value'; it has name, other"),
        ("name\tvalue\na\t1\n\nb\n", "t, line 4: expected 2 columns, got 1"),
    ],
)
def test_a_table_that_is_another_is_an_error(tmp_path, text, message):
    (tmp_path / "table.tsv").write_text(text)
    with (tmp_path / "table.tsv").open() as file, pytest.raises(ValueError, match=message):
        list(read_table(file, ["value"], name="t"))
