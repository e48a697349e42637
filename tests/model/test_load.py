"""load takes each kind of folder strictly, and says what is wrong with any other."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from megabase.model.load import load, save, save_published
from megabase.model.reading import weights_sha256
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
    with pytest.raises(ValueError, match=r"unexpected tensor: backbone.other"):
        load(str(folder))


def test_a_tensor_of_another_shape_is_an_error(folder):
    change(folder, lambda tensors: tensors.update({"backbone.norm.bias": torch.zeros(9)}))
    with pytest.raises(ValueError, match=r"backbone.norm.bias has shape \(9,\).* \(8,\)"):
        load(str(folder))


def test_a_file_cut_short_is_an_error(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="not a valid safetensors file"):
        load(str(folder))


def test_a_folder_without_weights_is_an_error(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="has no weights"):
        load(str(folder))


def test_a_folder_without_configuration_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no config.json"):
        load(str(tmp_path))


def test_an_invalid_json_configuration_is_an_error(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not valid JSON"):
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
        (Evil(), r"read safely: it would run code, (posix|nt)\.system"),
        ({"state_dict": {"a": 1}}, "no table of tensors"),
        ([1, 2], "no table of tensors"),
    ],
)
def test_a_pickle_of_something_else_than_a_checkpoint_is_an_error(folder, capfd, content, message):
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "weights.ckpt")
    with pytest.raises(ValueError, match=message):
        load(str(folder))
    assert "unsafe" not in capfd.readouterr().out


@pytest.mark.parametrize(
    "content", [b"not a pickle at all", b"\x80\x02X\x10", pickle.dumps({"a": 1})[:-5]]
)
def test_a_file_that_is_not_a_whole_pickle_is_an_error(folder, content):
    (folder / "weights.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match="read safely"):
        load(str(folder / "weights.ckpt"))


def configure(folder, **keys):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"n_layer": 10**9}, r"tensors of 2 blocks; .* 1,000,000,000 \(n_layer\)"),
        ({"num_inner_mlps": 10**9}, "num_inner_mlps"),
        ({"d_model": 10**12}, "has shape|of the size in its config"),
        ({"max_seq_len": 10**400}, "max_seq_len must be at most"),
        ({"filter_shift": 10**400}, "filter_shift must be a number"),
        ({"activation_freq": float("nan")}, "finite"),
        ({"layer_norm_epsilon": -1e308}, "finite"),
        ({"pad_vocab_size_multiple": -8}, "pad_vocab_size_multiple|shape|large"),
        ({"num_labels": 10**9}, "num_labels must be from 0"),
        ({"num_labels": "x"}, "num_labels must be from 0"),
        ({"id2label": [1]}, "id2label must be a JSON object"),
        ({"architectures": 5}, "architectures must be a list"),
        ({"quantization_config": {"quant_method": "x"}}, "models have no quantization_config"),
        ({"text_config": 0}, "models have no text_config"),
        ({"to_dict": 1}, "models have no to_dict"),
        ({"dtype": "float99"}, "dtype must be one of"),
        ({"pad_token_id": "x"}, "pad_token_id must be"),
        ({"target_scale": ["a"], "target_mean": ["b"], "num_labels": 1}, "must be a list of 1"),
        ({"model_type": None, "layer": 7}, "config.json"),
        ({"model_type": []}, "holds a model of type"),
    ],
    ids=str,
)
def test_a_configuration_that_no_model_has_is_one_line(folder, keys, message):
    configure(folder, **keys)
    with pytest.raises(ValueError, match=message) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 900


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "fingerprint.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"\x00" * 50])
def test_a_damaged_file_is_one_line(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=str(folder)) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_in_the_configuration_is_ignored(folder):
    path = folder / "config.json"
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    assert torch.equal(load(str(folder)).model(TOKENS).logits, MODEL(TOKENS).logits)


@pytest.mark.parametrize("kind", [torch.int32, torch.complex64])
def test_numbers_that_are_not_real_are_an_error(folder, kind):
    change(folder, lambda t: t.update({"backbone.norm.bias": torch.zeros(8, dtype=kind)}))
    with pytest.raises(ValueError, match="expected floating point"):
        load(str(folder))


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", 7, None])
def test_an_index_names_files_of_its_own_folder_only(folder, name):
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    index = {"weight_map": {"backbone.norm.bias": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="expected files of the same folder"):
        load(str(folder))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(1000, 1000), torch.zeros(8, device="meta"), torch.eye(3).to_sparse(),
        torch.zeros(8, dtype=torch.complex64),
    ],
    ids=["repeated", "meta", "sparse", "complex"],
)  # fmt: skip
def test_a_checkpoint_of_other_than_plain_real_numbers_is_an_error(folder, tensor):
    (folder / "model.safetensors").unlink()
    torch.save({"state_dict": {"backbone.norm.bias": tensor}}, folder / "weights.ckpt")
    with pytest.raises(
        ValueError, match=r"fewer numbers|not a plain tensor|read safely|real numbers"
    ):
        load(str(folder))
