"""A baseline in two reports of a task is listed once, and must agree in both."""

import pytest
from scripts.benchmark_report import without_repeats


def report(*models, value=0.5):
    rows = [
        {"task": "t", "model": model, "metric": "mcc", "seed": 0, "data_hash": "h", "value": value}
        for model in models
    ]
    return {"tasks": [{"data": {"task": "t"}, "metric": "mcc", "results": rows}]}


def models_of(report):
    return [row["model"] for task in report["tasks"] for row in task["results"]]


def test_a_baseline_of_both_reports_is_kept_once():
    scratch, pretrained = report("CNN", "from scratch"), report("CNN", "pretrained")
    kept = without_repeats([scratch, pretrained])
    assert [models_of(each) for each in kept] == [["CNN", "from scratch"], ["pretrained"]]
    assert models_of(pretrained) == ["CNN", "pretrained"]


def test_a_repeated_nan_is_kept_once():
    twice = [report("majority", value=float("nan"))] * 2
    assert [models_of(each) for each in without_repeats(twice)] == [["majority"], []]


def test_differing_baselines_are_refused():
    with pytest.raises(SystemExit, match=r"t, CNN, mcc, 0, h: 0.5 in one folder, 0.6 in another"):
        without_repeats([report("CNN"), report("CNN", value=0.6)])
