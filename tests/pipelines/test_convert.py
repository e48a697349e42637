"""A published model becomes a plain folder, and ours goes back, bit by bit."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from megabase.model.load import save
from megabase.pipelines.models import convert
from megabase.runtime.artifacts import read_record
from tests import toys
from tests.published_files import read_fixture, write_lightning

TOKENS = toys.tokens(1, 20)


def logits(folder):
    return AutoModelForCausalLM.from_pretrained(folder)(TOKENS).logits


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_released_training_file_goes_there_and_back(shared, tmp_path, checkpointed):
    fixture = read_fixture(shared / "parity", "p1_d32_n2_l66")
    released = write_lightning(tmp_path / "released", fixture, checkpointed=checkpointed)
    convert(str(released / "weights.ckpt"), tmp_path / "ours")
    convert(str(tmp_path / "ours"), tmp_path / "hf", layout="hf")
    convert(str(tmp_path / "hf"), tmp_path / "again")
    first, second = (tmp_path / "ours", tmp_path / "again")
    assert torch.equal(logits(first), logits(second))
    assert torch.equal(logits(first), logits(tmp_path / "hf"))
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def test_the_hf_layout_has_the_released_names_grids_and_head(shared, tmp_path):
    released = load_file(shared / "parity" / "p5_hfnames_init_d32_n2_l66.weights.safetensors")
    save(toys.model(d_model=32), tmp_path / "ours")
    convert(str(tmp_path / "ours"), tmp_path / "hf", layout="hf")
    written = load_file(tmp_path / "hf" / "model.safetensors")
    assert {k: t.shape for k, t in written.items()} == {k: t.shape for k, t in released.items()}
    for name in ("pos_emb.z", "pos_emb.t", "modulation.deltas"):
        key = f"hyena.backbone.layers.0.mixer.filter_fn.{name}"
        torch.testing.assert_close(written[key], released[key], rtol=0, atol=1e-6)
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["model_type"] == "hyenadna"


def test_a_converted_folder_knows_where_it_came_from(tmp_path):
    save(toys.model(), tmp_path / "ours")
    convert(str(tmp_path / "ours"), tmp_path / "copy")
    record = read_record(tmp_path / "copy")
    assert record["finished"]
    assert record["results"] == {"source": str(tmp_path / "ours"), "revision": None, "genomes": {}}


def test_an_order_that_the_layout_cannot_hold_leaves_no_model(tmp_path):
    save(toys.model(hyena_order=3), tmp_path / "ours")
    with pytest.raises(ValueError, match="only hold hyena_order = 2"):
        convert(str(tmp_path / "ours"), tmp_path / "hf", layout="hf")
    assert not (tmp_path / "hf" / "model.safetensors").exists()
    with pytest.raises(ValueError, match="the layout must be one of megabase, hf; got 'onnx'"):
        convert(str(tmp_path / "ours"), tmp_path / "onnx", layout="onnx")
