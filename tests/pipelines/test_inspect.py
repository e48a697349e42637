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
