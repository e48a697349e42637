"""load takes each kind of folder strictly, and says what is wrong with any other."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from megabase.model.load import load, save, save_published
from megabase.model.weights import weights_sha256
from tests import toys

MODEL = toys.model()
TOKENS = toys.tokens(1, 20)


@pytest.fixture
def folder(tmp_path):
    save(MODEL, tmp_path)
    return tmp_path


def test_a_saved_model_comes_back_bit_by_bit(folder):
    model, tokenizer, revision, _ = load(str(folder))
    assert torch.equal(model(TOKENS).logits, MODEL(TOKENS).logits)
    assert tokenizer("ACGT")["input_ids"] == [7, 8, 9, 10]
    assert (model.training, revision) == (False, None)


def test_the_published_layout_comes_back_bit_by_bit(tmp_path):
    save_published(MODEL, tmp_path)
    assert torch.equal(load(str(tmp_path)).model(TOKENS).logits, MODEL(TOKENS).logits)


def test_the_hash_is_of_the_weights_and_not_of_the_layout(folder, tmp_path):
    (tmp_path / "hf").mkdir()
    save_published(MODEL, tmp_path / "hf")
    assert weights_sha256(load(str(tmp_path / "hf")).model) == weights_sha256(MODEL)
    assert weights_sha256(toys.model(seed=1)) != weights_sha256(MODEL)


def change(folder, edit):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def test_a_missing_tensor_is_an_error(folder):
    change(folder, lambda tensors: tensors.pop("backbone.norm.bias"))
    with pytest.raises(ValueError, match=r"lacks backbone.norm.bias"):
        load(str(folder))


def test_an_extra_tensor_is_an_error(folder):
    change(folder, lambda tensors: tensors.update({"backbone.other": torch.zeros(1)}))
    with pytest.raises(ValueError, match=r"tensor too many: backbone.other"):
        load(str(folder))


def test_a_tensor_of_another_shape_is_an_error(folder):
    change(folder, lambda tensors: tensors.update({"backbone.norm.bias": torch.zeros(9)}))
    with pytest.raises(ValueError, match=r"backbone.norm.bias has shape \(9,\).* \(8,\)"):
        load(str(folder))


def test_a_file_cut_short_is_an_error(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="no whole safetensors file"):
        load(str(folder))


def test_a_folder_without_weights_is_an_error(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="has no weights"):
        load(str(folder))


def test_a_folder_without_configuration_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no config.json"):
        load(str(tmp_path))


def test_a_configuration_that_is_no_json_is_an_error(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        load(str(folder))


def test_a_model_of_another_kind_is_an_error(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="type 'bert'; expected 'hyenadna'"):
        load(str(folder))


def test_a_vocabulary_that_is_not_dna_is_an_error(tmp_path):
    toys.model(vocab_size=16).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="vocabulary of 16 tokens"):
        load(str(tmp_path))


def test_neither_folder_nor_hub_id_is_an_error():
    with pytest.raises(ValueError, match="no model folder 'nobody/nothing'"):
        load("nobody/nothing")


class Evil:
    """A pickle that would run a command."""

    def __reduce__(self):
        return os.system, ("echo unsafe",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Evil(), "read safely"),
        ({"state_dict": {"a": 1}}, "no table of tensors"),
        ([1, 2], "no table of tensors"),
    ],
)
def test_a_pickle_that_is_no_checkpoint_is_an_error(folder, capfd, content, message):
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "weights.ckpt")
    with pytest.raises(ValueError, match=message):
        load(str(folder))
    assert "unsafe" not in capfd.readouterr().out


def test_a_file_that_is_no_pickle_is_an_error(folder):
    (folder / "weights.ckpt").write_bytes(b"not a pickle at all")
    with pytest.raises(ValueError, match="read safely"):
        load(str(folder / "weights.ckpt"))
