"""The names of megabase exist, and are imported on first use."""

import subprocess
import sys

import pytest

import megabase
from megabase import _HOME


def test_each_name_is_imported_from_its_module():
    assert set(megabase.__all__) == set(_HOME) <= set(dir(megabase))
    for name, home in _HOME.items():
        assert getattr(megabase, name) is getattr(sys.modules[home], name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'megabase' has no attribute 'laod'"):
        _ = megabase.laod


def test_torch_is_imported_with_the_first_name_that_needs_it():
    code = (
        "import megabase, sys; from megabase import Interval; before = 'torch' in sys.modules; "
        "from megabase import OneHotModel; print(before, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False True", done.stderr
