"""A model is described by what it is and costs."""

import torch

from megabase.model.load import save
from megabase.model.reading import weights_sha256
from megabase.pipelines.models import describe_model
from tests import toys

MODEL = toys.model()


def test_a_model_is_described_with_the_memory_for_a_length(tmp_path):
    save(MODEL, tmp_path)
    about = describe_model(str(tmp_path), length=32)
    assert about["parameters"] == sum(p.numel() for p in MODEL.parameters())
    assert (about["context_length"], about["length"], about["length_fits"]) == (64, 32, True)
    assert about["weights_sha256"] == weights_sha256(MODEL)
    assert about["config"]["max_seq_len"] == 66
    longer = describe_model(str(tmp_path), length=1_000_000)
    assert longer["inference_gib"] > about["inference_gib"]
    assert not longer["length_fits"]


def test_an_answer_that_is_nan_is_null_and_a_warning(tmp_path, caplog):
    broken = toys.model()
    broken.backbone.norm.weight.data[0] = torch.nan
    save(broken, tmp_path)
    assert describe_model(str(tmp_path))["fingerprint"] is None
    assert "its weights have diverged" in caplog.text


def test_a_memory_is_described(tmp_path):
    save(toys.model(**toys.MEMORY), tmp_path / "with")
    about = describe_model(str(tmp_path / "with"), length=64)
    seeds = "at most 128 pointers from seeds of 8, 11 letters"
    assert about["memory"] == f"counts of orders 1, 3, 8; {seeds}"
    assert about["memory_features"] == 7 * 3 + 19
    assert about["memory_gib"] < 0.01
    assert about["config"]["memory_orders"] == [1, 3, 8]
    save(toys.model(), tmp_path / "without")
    about = describe_model(str(tmp_path / "without"), length=64)
    assert not [key for key in (*about, *about["config"]) if key.startswith(("memory", "pointer"))]
