"""A result is the same after JSON, and an invalid row is refused."""

import json
import math
from dataclasses import replace

import pytest

from megabase.metrics.bootstrap import ConfidenceInterval
from megabase.metrics.results import Result, summarise

RESULT = Result(
    task="gue/tf_0", model="k-mers", metric="mcc", value=0.5,
    interval=ConfidenceInterval(0.4, 0.6), seed=None, n_test=1000, data_hash="ab",
    is_published_split=True, settings={"k": 6},
)  # fmt: skip


@pytest.mark.parametrize("result", [RESULT, replace(RESULT, interval=None, seed=3, settings={})])
def test_a_result_comes_back_from_json(result):
    assert Result.from_row(json.loads(json.dumps(result.to_row(), allow_nan=False))) == result


def test_undefined_values_are_null():
    row = json.loads(json.dumps(replace(RESULT, value=math.nan).to_row(), allow_nan=False))
    assert row["value"] is None
    assert math.isnan(Result.from_row(row).value)


def test_a_row_that_lacks_a_field_or_has_a_strange_one_is_refused():
    row = RESULT.to_row()
    del row["n_test"]
    with pytest.raises(ValueError, match="missing: n_test, unknown: rows"):
        Result.from_row(row | {"rows": 3})


def test_seeds_are_taken_together():
    seeds = [replace(RESULT, seed=seed, value=value) for seed, value in enumerate([0.4, 0.5, 0.6])]
    other = replace(RESULT, model="majority", value=0.0)
    together, alone = summarise([*seeds, other])
    assert (together.n_seeds, together.interval) == (3, None)
    assert (together.mean, together.deviation) == (pytest.approx(0.5), pytest.approx(0.1))
    assert (alone.n_seeds, alone.deviation, alone.interval) == (1, None, RESULT.interval)


def test_figures_of_other_rows_or_twice_the_same_seed_are_not_taken_together():
    with pytest.raises(ValueError, match=r"different rows .* hashes cd and ab"):
        summarise([RESULT, replace(RESULT, model="majority", data_hash="cd")])
    with pytest.raises(ValueError, match="two values of mcc for seed None"):
        summarise([RESULT, RESULT])
