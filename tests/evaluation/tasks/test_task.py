"""A statement that contradicts itself is refused."""

from dataclasses import replace

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.task import LabelGroup, Task, TaskSource

BINARY = Task(
    "toys/one", "yes or no", "binary", "mcc", TaskSource("P", "", ""), classes=("no", "yes")
)
MANY = replace(
    BINARY,
    kind="multilabel",
    metric="auroc_median",
    classes=(),
    label_groups=(LabelGroup("TF", 0, 3),),
)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"name": "toys"}, "must be group/set without blanks, got 'toys'"),
        ({"name": "toys/a b"}, "without blanks"),
        ({"kind": "ternary"}, "task toys/one: kind must be one of binary"),
        ({"layout": "heap"}, "layout must be one of labelled"),
        ({"metric": "spearman"}, "the metric of binary must be one of accuracy.*got 'spearman'"),
        ({"classes": ("yes", "yes")}, "classes must be distinct"),
        ({"classes": ("a", "b", "c")}, "binary needs two classes, got 3"),
        ({"kind": "multiclass", "classes": ("a",)}, "multiclass needs at least two classes, got 1"),
        ({"kind": "regression", "metric": "r2"}, "regression must not have classes, got no, yes"),
        ({"label_letters": ("A",)}, "expected 2 label letters, one per class"),
        ({"label_groups": (LabelGroup("TF", 0, 3),)}, "a multilabel task needs label groups"),
        ({"published_rows": {"dev": 3}}, "split must be one of train, validation, test; got 'dev'"),
        ({"published_rows": {"train": 0}}, "at least 1"),
        ({"median_length": 0}, "at least 1"),
    ],
)
def test_a_contradiction_is_an_error(changed, problem):
    with pytest.raises(InputError, match=problem):
        replace(BINARY, **changed)


def test_label_groups_leave_no_gap():
    with pytest.raises(InputError, match="must be adjacent and start at 0"):
        replace(MANY, label_groups=(LabelGroup("TF", 0, 3), LabelGroup("HM", 4, 5)))


def test_outputs_follow_from_the_kind():
    regression = replace(BINARY, kind="regression", metric="r2", classes=())
    open_classes = replace(BINARY, kind="multiclass", classes=())
    found = [task.n_outputs for task in (BINARY, MANY, regression, open_classes)]
    assert found == [2, 3, 1, None]
