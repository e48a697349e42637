"""A device is chosen by name, and one that is not here is an error."""

import pytest
import torch

from megabase.inference.plan import (
    ProductRates,
    choose_device,
    describe_devices,
    time_products,
)


def test_auto_selects_an_available_device():
    expected = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    assert choose_device("auto") == (expected or torch.device("cpu"))
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_an_unavailable_device_is_an_error(name):
    with pytest.raises(ValueError, match=rf"device '{name}' cannot be used"):
        choose_device(name)


def test_the_description_has_the_reason_for_a_missing_accelerator():
    found = describe_devices()
    assert "threads" in found["cpu"]
    assert len(found) > 1
    if not torch.accelerator.is_available():
        assert found["accelerator"].startswith("off: ")


def test_products_are_timed_and_the_threads_are_as_before():
    n_threads = torch.get_num_threads()
    rates = time_products()
    assert torch.get_num_threads() == rates.n_threads == n_threads
    assert min(rates.on_one, rates.on_all, rates.bfloat16) > 0


@pytest.mark.parametrize(
    ("rates", "is_advised"),
    [
        ((2, 100.0, 190.0, 300.0), False),
        ((2, 100.0, 90.0, 300.0), True),
        ((1, 100.0, 99.0, 1.0), False),
    ],
)
def test_advice_is_given_where_threads_hinder_each_other(rates, is_advised):
    assert ("OMP_WAIT_POLICY=PASSIVE" in ProductRates(*rates).advice) is is_advised


def test_advice_is_given_where_bfloat16_is_slower():
    assert ProductRates(2, 100.0, 190.0, 300.0).advice == ""
    assert "leave precision at float32" in ProductRates(2, 100.0, 190.0, 1.0).advice
