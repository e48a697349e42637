"""A table is a header and rows, split by tabs."""

import pytest

from megabase.io.table import write_table


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
