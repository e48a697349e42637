"""A request that does not fit the memory is refused before it starts."""

import pytest

from megabase.inference import plan
from megabase.inference.plan import plan_generation, plan_gradients, plan_inference
from megabase.model.footprint import (
    LIBRARIES_BYTES,
    generation_bytes,
    inference_bytes,
    training_bytes,
)
from tests import toys

MODEL = toys.model()


def test_memory_and_time_are_logged_and_the_engine_as_a_detail(caplog):
    caplog.set_level("DEBUG", "megabase")
    found = plan_inference(MODEL, longest=50, at_once=100, n_tokens=10_000)
    expected = LIBRARIES_BYTES + inference_bytes(MODEL.config, 50, batch=2)
    assert found.peak_gib == pytest.approx(expected / 2**30, abs=1e-3)
    assert found.seconds > 0
    assert "GiB at the peak and" in str(found)
    assert "streamed: in tiles that fit the caches of a CPU; steps " in found.engine
    assert (caplog.records[-1].levelname, caplog.messages[-1]) == (
        "DEBUG", f"the engine is {found.engine}"
    )  # fmt: skip


def test_more_tokens_take_more_time():
    few, many = (
        plan_inference(MODEL, longest=50, at_once=100, n_tokens=n).seconds for n in (100, 10**6)
    )
    assert many > 100 * few


def test_what_does_not_fit_is_an_error(monkeypatch):
    monkeypatch.setattr(plan, "device_bytes", lambda _: LIBRARIES_BYTES + 1000)
    with pytest.raises(ValueError, match=r"a sequence of 60 tokens needs about 0\.\d GiB"):
        plan_inference(MODEL, longest=60, at_once=10, n_tokens=60)


def test_sequences_go_side_by_side_as_memory_allows(monkeypatch):
    def planned(n_sequences):
        return plan_generation(MODEL, prompt_length=9, length=50, n_sequences=n_sequences).at_once

    assert (planned(3), planned(1000)) == (3, 16)
    needed = [generation_bytes(MODEL.config, 9, 50, batch=batch) for batch in (1, 4)]
    monkeypatch.setattr(plan, "device_bytes", lambda _: 2 * (LIBRARIES_BYTES + needed[1]))
    assert planned(1000) == 4
    monkeypatch.setattr(plan, "device_bytes", lambda _: LIBRARIES_BYTES + needed[0])
    assert planned(1000) == 1
    monkeypatch.setattr(plan, "device_bytes", lambda _: LIBRARIES_BYTES + needed[0] - 1)
    with pytest.raises(ValueError, match=r"generating 50 bp needs about 0\.\d GiB"):
        planned(1)


def test_gradients_are_planned_and_leave_the_model_as_it_answers(monkeypatch):
    found = plan_gradients(MODEL, longest=50, n_tokens=10_000)
    expected = LIBRARIES_BYTES + training_bytes(MODEL.config, 50)
    assert found.peak_gib == pytest.approx(expected / 2**30, abs=1e-3)
    assert found.seconds > 0
    assert found.engine == "lean: not streamed: gradients are enabled"
    assert not MODEL.training
    monkeypatch.setattr(plan, "device_bytes", lambda _: LIBRARIES_BYTES + 1000)
    with pytest.raises(ValueError, match=r"the gradient of 60 tokens needs about 0\.\d GiB"):
        plan_gradients(MODEL, longest=60, n_tokens=60)
