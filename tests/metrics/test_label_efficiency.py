"""Labels needed are interpolated between measurements, and never extrapolated."""

import math

import pytest

from megabase.metrics.label_efficiency import Needed, needed_rows

ROWS = [32, 128, 512]


def test_between_two_points_rows_are_linear_in_their_logarithm():
    halfway = needed_rows(ROWS, [0.5, 0.6, 0.8], 0.7)
    assert halfway is not None
    assert halfway.bound == "about"
    assert halfway.n_rows == pytest.approx(256)
    assert needed_rows(ROWS, [0.5, 0.6, 0.8], 0.6) == Needed(pytest.approx(128), "about")


def test_beyond_what_was_measured_there_is_a_bound_only():
    assert needed_rows(ROWS, [0.5, 0.6, 0.8], 0.81) == Needed(512.0, "more than")
    assert needed_rows(ROWS, [0.5, 0.6, 0.8], 0.5) == Needed(32.0, "at most")
    assert needed_rows([32], [0.5], 0.6) == Needed(32.0, "more than")


def test_of_a_curve_that_falls_again_the_first_crossing_counts():
    assert needed_rows(ROWS, [0.5, 0.7, 0.6], 0.6) == Needed(pytest.approx(64), "about")


def test_undefined_values_stay_undefined():
    assert needed_rows(ROWS, [0.5, math.nan, 0.8], 0.6) is None
    assert needed_rows(ROWS, [0.5, 0.6, 0.8], math.nan) is None


def test_numbers_of_rows_must_rise_and_have_a_value_each():
    for n_rows, values in (([32, 32], [0.5, 0.6]), ([32], [0.5, 0.6]), ([], [])):
        with pytest.raises(ValueError, match="rising numbers of rows and one value for each"):
            needed_rows(n_rows, values, 0.5)
