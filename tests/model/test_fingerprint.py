"""A folder keeps the model's answer to a fixed sequence, and a changed model is not loaded."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from megabase.errors import InputError
from megabase.model.load import load, save
from megabase.model.reading import FILE, fingerprint
from megabase.ops.backends import Engine
from tests import toys


def test_a_folder_keeps_the_answer_and_load_checks_it(tmp_path):
    model = toys.model()
    save(model, tmp_path)
    assert load(str(tmp_path)).fingerprint == fingerprint(model)
    (tmp_path / FILE).unlink()
    assert load(str(tmp_path)).fingerprint is None


@pytest.mark.parametrize("what", ["weights", "configuration"])
def test_a_model_that_was_changed_since_is_not_loaded(tmp_path, what):
    save(toys.model(), tmp_path)
    if what == "weights":
        file = tmp_path / "model.safetensors"
        tensors = load_file(file)
        tensors["backbone.norm.bias"][3] += 0.5
        save_file(tensors, file, metadata={"format": "pt"})
    else:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"layer_norm_epsilon": 0.1}))
    with pytest.raises(InputError, match=r"when it was saved: weights or configuration"):
        load(str(tmp_path))


def test_what_cannot_be_read_is_an_error(tmp_path):
    save(toys.model(), tmp_path)
    (tmp_path / FILE).write_text('{"log_likelihood": "much"}')
    with pytest.raises(InputError, match=r"fingerprint.json has no valid log_likelihood"):
        load(str(tmp_path))


def test_the_answer_depends_on_the_model_and_on_nothing_else():
    model = toys.model()
    before = fingerprint(model.train())
    assert model.training
    torch.manual_seed(7)
    model.backbone.engine = Engine("plain")
    assert fingerprint(model.eval()) == pytest.approx(before, abs=1e-3)
    assert abs(fingerprint(toys.model(seed=1)) - before) > 1.0
