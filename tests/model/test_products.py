"""A CPU without instructions for bfloat16 is reported before it computes in that dtype."""

import pytest
import torch

from megabase.inference.predictor import Predictor
from megabase.model import products
from megabase.model.load import load
from megabase.training.arguments import training_arguments
from megabase.training.run_config import PretrainConfig

RATES = {torch.float32: 100.0, torch.bfloat16: 1.0}


@pytest.fixture(autouse=True)
def _afresh():
    products.warn_of_slow_bfloat16.cache_clear()
    yield
    products.warn_of_slow_bfloat16.cache_clear()


@pytest.fixture
def slow_bfloat16(monkeypatch):
    monkeypatch.setattr(products, "product_rate", lambda dtype, **_: RATES[dtype])


def test_rates_are_measured_for_each_dtype():
    assert min(products.product_rate(dtype, size=64, times=1) for dtype in RATES) > 0


@pytest.mark.usefixtures("slow_bfloat16")
def test_scoring_in_slow_bfloat16_is_logged_once(caplog):
    for _ in range(2):
        Predictor(load("asset:default"), torch.device("cpu"), precision="bfloat16")
    assert caplog.text.count("bfloat16 matrix products take 100 times as long") == 1


@pytest.mark.usefixtures("slow_bfloat16")
@pytest.mark.parametrize(("precision", "is_told"), [("bfloat16", True), ("float32", False)])
def test_training_in_slow_bfloat16_is_logged(caplog, tmp_path, precision, is_told):
    config = PretrainConfig(genome="asset:ecoli", device="cpu", precision=precision)
    training_arguments(config, str(tmp_path))
    assert ("as long as float32" in caplog.text) is is_told


def test_no_warning_if_bfloat16_is_faster(caplog, monkeypatch):
    monkeypatch.setattr(products, "product_rate", lambda dtype, **_: 1 / RATES[dtype])
    products.warn_of_slow_bfloat16(torch.device("cpu"))
    assert not caplog.text
