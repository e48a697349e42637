"""A table is a header and rows, split by tabs, or the same as Parquet."""

import gzip

import pytest
from pyarrow import parquet

from megabase.errors import InputError
from megabase.io import tables as table
from megabase.io.tables import (
    is_table,
    read_delimiter,
    read_rows,
    read_table,
    write_parquet,
    write_table,
)


def write(path, columns, rows, delimiter="\t"):
    with path.open("w") as file:
        write_table(file, columns, rows, delimiter=delimiter)
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
        ("", "t is empty; expected a line with the names"),
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
    with pytest.raises(ValueError, match="is not a complete Parquet file"):
        list(read_rows(path, []))


ROW = {"sequence": "ACGT", "label": "a, b"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", 'sequence,label\nACGT,"a, b"\n'),
        ("t.csv", "sequence;label\nACGT;a, b\n"),
        ("t.csv", "sequence\tlabel\nACGT\ta, b\n"),
        ("t.tsv", "sequence\tlabel\nACGT\ta, b\n"),
        ("t.tsv", '"sequence"\t"label"\n"ACGT"\t"a, b"\n'),
        ("t.tsv", "sequence;label\r\nACGT;a, b\r\n"),
        ("t.txt", '"sequence","label"\n"ACGT","a, b"\n'),
        ("t.txt", '"sequence";"label"\n"ACGT";"a, b"\n'),
    ],
)
def test_the_header_determines_the_delimiter_and_quoting(tmp_path, name, text):
    (tmp_path / name).write_text(text, newline="")
    assert list(read_rows(tmp_path / name, ["sequence", "label"])) == [ROW]


def test_a_delimiter_that_is_given_is_taken(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sequence|label\nACGT|a, b\n")
    assert list(read_rows(path, ["label"], delimiter="|")) == [ROW]
    path.write_text("sequence\tlabel,x\nACGT\ta, b\n")
    assert list(read_rows(path, [], delimiter="tab")) == [{"sequence": "ACGT", "label,x": "a, b"}]
    with pytest.raises(InputError, match=r"has no column 'label'; it has sequence.label,x"):
        list(read_rows(path, ["label"], delimiter=";"))
    for text in ("", "ab", "\n", '"'):
        with pytest.raises(InputError, match="a delimiter is one character, or one of comma, tab"):
            read_delimiter(text)


def test_a_header_that_fits_two_delimiters_is_an_error(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("a,b;c\n1,2;3\n")
    with pytest.raises(InputError, match=r"separated by a comma or a semicolon; .* --delimiter"):
        list(read_rows(path, []))
    with pytest.raises(InputError, match="has no column 'b'; it has a,b;c"):
        list(read_rows(path, ["b"]))


@pytest.mark.parametrize(
    ("cell", "found"),
    [("a\tb", "a tab"), ("a\nb", "a line break"), ("a\rb", "a carriage return"), ("a\0b", "NUL")],
)
def test_a_cell_that_a_tsv_cannot_hold_is_named(tmp_path, cell, found):
    rows = [{"name": "a"}, {"name": cell}]
    with pytest.raises(
        InputError, match=f"row 2, column 'name': the cell has .*{found.split()[-1]}"
    ):
        write(tmp_path / "t.tsv", ["name"], rows)


def test_a_csv_holds_every_text_but_nul(tmp_path):
    cells = ["a\tb", "a\nb", "a\rb", "a\r\nb", 'a"b', "a,b", "", " a "]
    rows = [{"name": cell, "n": str(n)} for n, cell in enumerate(cells)]
    path = tmp_path / "t.csv"
    with path.open("w", newline="\n") as file:
        write_table(file, ["name", "n"], rows, delimiter=",")
    assert list(read_rows(path, ["name"])) == rows
    with pytest.raises(InputError, match="row 1, column 'name': the cell has a NUL byte"):
        write(tmp_path / "u.csv", ["name"], [{"name": "\0"}], delimiter=",")


def test_a_parquet_file_that_is_damaged_is_one_error(tmp_path):
    path = tmp_path / "t.parquet"
    rows = [{"name": f"name {n}" * 9} for n in range(5_000)]
    write_parquet(path, {"name": str}, rows, {})
    whole = path.read_bytes()
    zeros = whole[:100] + bytes(len(whole) // 2) + whole[100 + len(whole) // 2 :]
    for content in (whole[:-1], whole[: len(whole) // 2], zeros, b"", b"PAR1PAR1"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"t\.parquet is not a complete Parquet file"):
            list(read_rows(path, ["name"]))


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz", ".csv.bgz"])
def test_a_table_is_one_by_its_name_unless_it_holds_fasta(tmp_path, suffix):
    for text, expected in (("sequence,label\nAC,a\n", True), (">a\nAC\n", False)):
        path = tmp_path / f"a{suffix}"
        data = text.encode()
        path.write_bytes(data if suffix == ".csv" else gzip.compress(data))
        assert is_table(path) == expected
    assert not is_table(tmp_path / "a.fa")
