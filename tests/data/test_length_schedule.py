"""The context length is a pure function of the step, and no token is counted twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.data.training_windows import plan_lengths


def schedule(**changes):
    options = {"n_steps": 100, "context_length": 1024, "tokens_per_step": 4096}
    return plan_lengths(**(options | changes))


def test_without_a_start_every_step_is_alike():
    assert [tuple(stage) for stage in schedule().stages] == [(0, 1024, 4)]


def test_the_length_doubles_and_the_tokens_of_a_step_stay():
    plan = schedule(start_length=128)
    assert [stage.length for stage in plan.stages] == [128, 256, 512, 1024]
    assert [stage.length * stage.n_windows for stage in plan.stages] == [4096] * 4
    assert [stage.first_step for stage in plan.stages] == [0, 16, 33, 50]
    assert (plan.at(15).length, plan.at(16).length, plan.at(99).length) == (128, 256, 1024)


def test_the_paper_keeps_the_number_of_windows():
    plan = schedule(start_length=128, constant_tokens=False)
    assert [stage.n_windows for stage in plan.stages] == [4, 4, 4, 4]


def test_a_context_that_doubling_does_not_reach_is_the_last_length():
    lengths = [stage.length for stage in schedule(start_length=300).stages]
    assert lengths == [300, 600, 1024]


@given(
    n_steps=st.integers(20, 300),
    start=st.integers(2, 1024),
    fraction=st.floats(0.5, 0.9),
    constant=st.booleans(),
)
def test_tokens_before_a_step_are_those_of_all_steps_before_it(n_steps, start, fraction, constant):
    plan = schedule(
        n_steps=n_steps, start_length=start, warmup_fraction=fraction, constant_tokens=constant
    )
    total = 0
    for step in range(n_steps):
        assert plan.tokens_before(step) == total
        total += plan.at(step).length * plan.at(step).n_windows
    assert plan.tokens_before(n_steps) == total


def test_more_stages_than_steps_are_an_error():
    with pytest.raises(ValueError, match="has 9 stages before the last, but 2 of the 4 steps"):
        schedule(n_steps=4, start_length=2)
