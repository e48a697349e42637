"""A device is chosen by name, and one that is not here is an error."""

import pytest
import torch

from megabase.inference.device import choose_device, describe_devices


def test_auto_takes_what_there_is():
    expected = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    assert choose_device("auto") == (expected or torch.device("cpu"))
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_a_device_that_is_not_here_is_an_error(name):
    with pytest.raises(ValueError, match=rf"device '{name}' cannot be used"):
        choose_device(name)


def test_the_description_says_why_there_is_no_accelerator():
    found = describe_devices()
    assert "threads" in found["cpu"]
    assert len(found) > 1
    if not torch.accelerator.is_available():
        assert found["accelerator"].startswith("off: ")
