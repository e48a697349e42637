"""Reference outputs of the released code, and files in released layouts built from them."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

EMBEDDING = "backbone.embeddings.word_embeddings.weight"
HUB = "LongSafari/hyenadna-tiny-1k-seqlen-hf"


class Fixture(NamedTuple):
    """Configuration, weights, outputs and gradients of one run of the released code."""

    config: dict
    weights: dict
    outputs: dict
    gradients: dict


def read_fixture(folder: Path, name: str) -> Fixture:
    """Read one case of the folder of reference outputs."""
    weights = folder / f"{name}.weights.safetensors"
    with safe_open(weights, "pt") as file:
        config = json.loads(file.metadata()["config"])
    parts = [load_file(folder / f"{name}.{part}.safetensors") for part in ("io", "grads")]
    return Fixture(config, load_file(weights), *parts)


def write_lightning(folder: Path, fixture: Fixture, *, checkpointed: bool) -> Path:
    """Write a released training folder: weights.ckpt and an original config.json."""
    folder.mkdir(parents=True)
    tensors = {}
    for name, tensor in fixture.weights.items():
        infix = r".\1.layer." if checkpointed else r".\1."
        tensors["model." + re.sub(r"\.(mixer|mlp)\.", infix, name)] = tensor
        for alias in (3, 5):
            if name.endswith("implicit_filter.1.freq"):
                inner = re.sub(r"\.mixer\.", infix.replace(r"\1", "mixer"), name)
                tensors[f"model.{inner[:-6]}{alias}.freq"] = tensor
    tensors["model.lm_head.weight"] = fixture.weights[EMBEDDING]
    tensors["train_torchmetrics.loss.total"] = torch.zeros(())
    torch.save(
        {"state_dict": tensors, "epoch": 3, "hparams": {"lr": 6e-4}}, folder / "weights.ckpt"
    )
    (folder / "config.json").write_text(json.dumps(fixture.config))
    return folder


def hf_config(original: dict) -> dict:
    """Return the config.json of a released -hf folder, which refers to remote code."""
    layer = original["layer"]
    return {
        "_name_or_path": HUB.split("/")[1],
        "activation_freq": layer["w"],
        "architectures": ["HyenaDNAForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{HUB}--configuration_hyena.HyenaConfig",
            "AutoModel": f"{HUB}--modeling_hyena.HyenaDNAModel",
            "AutoModelForCausalLM": f"{HUB}--modeling_hyena.HyenaDNAForCausalLM",
        },
        "d_inner": original["d_inner"],
        "d_model": original["d_model"],
        "emb_dim": layer["emb_dim"],
        "embed_dropout": original["embed_dropout"],
        "filter_order": layer["filter_order"],
        "hyena_dropout": 0.0,
        "hyena_filter_dropout": 0.0,
        "hyena_order": layer.get("order", 2),
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "max_seq_len": layer["l_max"],
        "model_type": "hyenadna",
        "n_layer": original["n_layer"],
        "num_inner_mlps": 2,
        "pad_token_id": 4,
        "pad_vocab_size_multiple": 8,
        "short_filter_order": layer["local_order"],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "train_freq": True,
        "transformers_version": "4.35.0.dev0",
        "use_bias": True,
        "vocab_size": 12,
    }


def write_hf(folder: Path, config: dict, tensors: dict) -> Path:
    """Write a released -hf folder of tensors with released names."""
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(hf_config(config)))
    tokenizer = {
        "auto_map": {"AutoTokenizer": [f"{HUB}--tokenization_hyena.HyenaDNATokenizer", None]},
        "bos_token": "[BOS]",
        "characters": ["A", "C", "G", "T", "N"],
        "clean_up_tokenization_spaces": True,
        "cls_token": "[CLS]",
        "eos_token": "[SEP]",
        "mask_token": "[MASK]",
        "model_max_length": 1024,
        "pad_token": "[PAD]",
        "padding_side": "left",
        "sep_token": "[SEP]",
        "tokenizer_class": "HyenaDNATokenizer",
        "unk_token": "[UNK]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


def to_hf(weights: dict) -> dict:
    """Rename tensors of the stand-alone code to the names of a released -hf file."""
    renamed = {f"hyena.{name}": tensor for name, tensor in weights.items()}
    return renamed | {"lm_head.weight": weights[EMBEDDING].clone()}
