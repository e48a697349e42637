"""Parts are kept for the request that they are of, and made by one process."""

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.pipelines.pipeline import Parts, open_parts
from megabase.runtime.artifacts import exclusive_lock


def test_parts_of_another_request_are_not_used_and_a_line_says_so(tmp_path, caplog):
    caplog.set_level("INFO", logger="megabase")
    Parts(tmp_path / "a.bg", {"stride": 1}).save("x", np.arange(3))
    assert "x" in Parts(tmp_path / "a.bg", {"stride": 1})
    assert "1 part is done" in caplog.text
    assert "starting over" not in caplog.text
    assert "x" not in Parts(tmp_path / "a.bg", {"stride": 2})
    assert (
        "starting over: the saved parts are of another request (stride was 1, is 2)" in caplog.text
    )


def test_one_process_makes_the_parts_also_when_it_removes_those_of_another_request(tmp_path):
    Parts(tmp_path / "a.bg", {"stride": 1}).save("x", np.arange(3))
    with open_parts(tmp_path / "a.bg", {"stride": 2}) as parts:
        with pytest.raises(InputError, match="another process is writing"):
            exclusive_lock(tmp_path / "a.bg", is_folder=False).__enter__()
        parts.save("y", np.arange(2))
    assert not list(tmp_path.iterdir())


def test_work_that_fails_keeps_its_parts(tmp_path):
    def fail():
        with open_parts(tmp_path / "a.bg", {}) as parts:
            parts.save("x", np.arange(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with open_parts(tmp_path / "a.bg", {}) as parts:
        assert parts.n_found == 1
        np.testing.assert_array_equal(parts.load("x"), [0, 1, 2])
