"""The digest of rows depends on the rows, and on nothing else."""

import numpy as np
import pytest

from megabase.evaluation.tasks.task_files import TaskExamples, digest, draw_parts, is_known

ROWS = TaskExamples(["ACGT", "CC", "CC"], [0, 1, 1])


def test_order_does_not_matter_and_everything_else_does():
    one = digest(ROWS, ["no", "yes"])
    assert digest(TaskExamples(["CC", "ACGT", "CC"], [1, 0, 1]), ["no", "yes"]) == one
    others = [
        digest(ROWS, ["yes", "no"]),
        digest(TaskExamples(["ACGT", "CC"], [0, 1]), ["no", "yes"]),
        digest(TaskExamples(["ACGA", "CC", "CC"], [0, 1, 1]), ["no", "yes"]),
        digest(TaskExamples(["ACGT", "CC", "CC"], [1, 1, 1]), ["no", "yes"]),
    ]
    assert len({one, *others}) == 5


def test_labels_of_every_kind_count():
    values = [digest(TaskExamples(["A"], [value])) for value in (0.5, 0.25)]
    arrays = [
        digest(TaskExamples(["A"], [np.array(bits, dtype=np.uint8)])) for bits in ([0, 1], [1, 0])
    ]
    assert len({*values, *arrays}) == 4


@pytest.mark.parametrize("n", [3, 10, 101])
def test_units_are_drawn_8_to_1_to_1_by_the_seed(n):
    parts = draw_parts(n, 0)
    assert len(parts) == n
    assert parts.count("test") == parts.count("validation") == max(1, n // 10)
    assert parts == draw_parts(n, 0)
    assert n == 3 or parts != draw_parts(n, 1)


def test_a_window_is_known_up_to_a_tenth_of_n():
    assert is_known("acgtACGTAN")
    assert not is_known("ACGTACGTNN")
