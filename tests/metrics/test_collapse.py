"""A training that tells no more than the most frequent class is found, whatever it is called."""

import math
from dataclasses import replace

import pytest

from megabase.metrics.results import Result, collapsed_models, has_collapsed

OURS = Result(
    task="t", model="CNN", metric="accuracy", value=0.6, interval=None, seed=0, n_test=100,
    data_hash="h", is_published_split=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"mcc": 0.0, "auroc": 0.6}, True),
        ({"mcc": -0.0004}, True),  # a handful of answers of another class
        ({"mcc": 0.01}, False),
        ({"mcc": -0.2}, False),
        ({"mcc": math.nan}, False),  # the labels are of one class
        ({"mcc": None}, False),
        ({"spearman": math.nan, "r2": -0.01}, True),
        ({"spearman": None, "r2": -0.01}, True),
        ({"spearman": 0.1, "r2": 0.0001}, True),
        ({"spearman": 0.1, "r2": -0.3}, False),
        ({"spearman": math.nan, "r2": math.nan}, False),  # the values do not vary
        ({"auroc_median": 0.5}, True),
        ({"auroc_median": 0.6}, False),
        ({"accuracy": 0.5}, False),
    ],
)
def test_one_training_has_collapsed_or_not(metrics, expected):
    assert has_collapsed(metrics) is expected


def rows(model, *seeds, **metrics):
    return [
        replace(OURS, model=model, metric=metric, value=value, seed=seed)
        for metric, values in metrics.items()
        for seed, value in zip(seeds, values, strict=True)
    ]


def test_collapsed_seeds_are_counted_and_the_majority_is_left_out():
    results = [
        *rows("majority", None, accuracy=[0.55], mcc=[0.0]),
        *rows("CNN", 0, 1, accuracy=[0.55, 0.55], mcc=[0.0, 0.0]),
        *rows("some", 0, 1, accuracy=[0.55, 0.7], mcc=[0.0, 0.4]),
        *rows("fine", 0, 1, accuracy=[0.55, 0.7], mcc=[0.1, 0.4]),
    ]
    found = {model: str(each) for (_, model), each in collapsed_models(results).items()}
    assert found == {"CNN": "collapsed", "some": "1 of 2 collapsed"}


def test_the_majoritys_accuracy_from_every_seed_is_a_collapse_and_from_one_a_coincidence():
    majority = rows("majority", None, accuracy=[0.55])
    always = rows("CNN", 0, 1, accuracy=[0.55, 0.55])
    assert str(collapsed_models([*majority, *always])["t", "CNN"]) == "collapsed"
    assert not collapsed_models([*majority, *rows("CNN", 0, accuracy=[0.55])])
