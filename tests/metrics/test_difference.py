"""Two systems are compared on the same rows, drawn together."""

import numpy as np
import pytest

from megabase.metrics.task_metrics import difference

LABELS = np.arange(60) % 2


def answers(right):
    """Give probabilities that are right in the first rows."""
    says = np.where(np.arange(60) < right, LABELS, 1 - LABELS).astype(float)
    return np.column_stack([1 - says, says])


def of(first, second):
    return difference("binary", "accuracy", LABELS, first, second, seed=0, n_replicates=200)


def test_the_difference_is_of_means_over_seeds_with_an_interval():
    found = of([answers(50), answers(40)], [answers(30)])
    assert found.value == pytest.approx(0.25)
    assert found.interval is not None
    low, high = found.interval
    assert 0.05 < low < 0.25 < high < 0.45


def test_rows_are_drawn_for_both_together():
    assert of([answers(50)], [answers(50)]) == (0.0, (0.0, 0.0))
