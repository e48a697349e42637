"""A published number is checked where it is written down."""

import pytest

from megabase.errors import InputError
from megabase.metrics.results import Published, read_published


def test_a_table_is_read_by_row_and_column():
    table = "set|A|B\none|85.1|-\ntwo|50.0|7.25\n"
    found = read_published(table, "mcc", "paper", "P, Tab. 1", is_percent=True, sources={"B": "Q"})
    assert found["one"] == (Published("A", 0.851, "mcc", "paper", "P, Tab. 1"),)
    assert [(p.model, p.value, p.source) for p in found["two"]] == [
        ("A", 0.5, "P, Tab. 1"),
        ("B", 0.0725, "Q"),
    ]


def test_metrics_may_differ_by_row():
    found = read_published("set|A\none|.5\ntwo|.6\n", {"one": "mcc", "two": "auroc"}, "clean", "P")
    assert (found["one"][0].metric, found["two"][0].metric) == ("mcc", "auroc")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("set|A|B\none|1.0\n", "row 'one' has 1 cells for 2 models"),
        ("set|A\none|x\n", "a cell of a table must be a number"),
        ("set|A\none|85.1\n", "from -1 to 1, got 85.1 of A; divide percent"),
    ],
)
def test_an_invalid_table_is_an_error(table, problem):
    with pytest.raises(InputError, match=problem):
        read_published(table, "mcc", "paper", "P")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"metric": "beauty"}, "a metric is one of accuracy"),
        ({"protocol": "secret"}, "a protocol is one of paper"),
        ({"source": ""}, "needs a model and a source"),
        ({"value": float("nan")}, "a fraction from -1 to 1, got nan"),
    ],
)
def test_a_number_without_its_circumstances_is_an_error(changed, problem):
    whole = {
        "model": "A", "value": 0.5, "metric": "mcc", "protocol": "paper", "source": "P",
    }  # fmt: skip
    with pytest.raises(InputError, match=problem):
        Published(**(whole | changed))
