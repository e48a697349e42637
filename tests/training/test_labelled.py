"""Labels come from the columns that are named, also where a cell has several."""

import pytest

from megabase.errors import InputError
from megabase.training.labelled import read_labelled
from megabase.training.run_config import FinetuneConfig

LETTERS = [f"{'ACGT' * 3}{end}" for end in ("A", "C", "G", "T", "AA", "CC", "GG", "TT")]


def test_lists_of_parquet_are_the_labels_that_text_has(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    lists = [["a", "b"], ["b"], [], ["a"]] * 2
    table = pyarrow.table({"sequence": LETTERS, "label": lists})
    parquet.write_table(table, tmp_path / "t.parquet")
    lines = [f"{s},{';'.join(names)}\n" for s, names in zip(LETTERS, lists, strict=True)]
    (tmp_path / "t.csv").write_text("sequence,label\n" + "".join(lines))
    found = [
        read_labelled(FinetuneConfig(train=str(tmp_path / name), kind="multilabel"), None)
        for name in ("t.parquet", "t.csv")
    ]
    for data in found:
        assert data.labels.classes == ("a", "b")
    assert (found[0].training.labels == found[1].training.labels).all()
    for kind in ("auto", "classification"):
        with pytest.raises(InputError, match=r"column 'label' is of the type list.*multilabel"):
            read_labelled(FinetuneConfig(train=str(tmp_path / "t.parquet"), kind=kind), None)


def test_columns_and_delimiter_may_have_other_names(tmp_path):
    lines = [f"{letters}|{n % 2}|x\n" for n, letters in enumerate(LETTERS)]
    (tmp_path / "t.csv").write_text("dna|y|label\n" + "".join(lines))
    config = FinetuneConfig(
        train=str(tmp_path / "t.csv"), sequence_column="dna", label_column="y", delimiter="|"
    )
    assert read_labelled(config, None).labels.classes == ("0", "1")


def test_labels_in_several_ways_are_an_error_that_an_option_resolves(tmp_path):
    lines = [f"{s},{label}\n" for s, label in zip(LETTERS, ["1", "0", "1.0", "0"] * 2, strict=True)]
    (tmp_path / "t.csv").write_text("sequence,label\n" + "".join(lines))
    config = FinetuneConfig(train=str(tmp_path / "t.csv"))
    with pytest.raises(
        InputError, match=r"t.csv: labels are spelled in several ways: '1' \(2 rows"
    ):
        read_labelled(config, None)
    for label_text, classes in (("merge", ("0", "1")), ("exact", ("0", "1", "1.0"))):
        config = FinetuneConfig(train=str(tmp_path / "t.csv"), label_text=label_text)
        assert read_labelled(config, None).labels.classes == classes


def test_keys_of_tables_are_of_a_request_where_they_are_given_only():
    """So that what an earlier version made is known as made by the same request."""
    assert "delimiter" not in FinetuneConfig(train="t.csv").request()
    assert FinetuneConfig(train="t.csv", delimiter=";").request()["delimiter"] == ";"
