"""The tensors of a model folder, a hub id or a released .ckpt file, read safely.

Only numbers are read: safetensors, or a pickle through torch's weights-only reader,
which runs no code.
"""

import hashlib
import json
import pickle
import re
import warnings
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from megabase.errors import InputError
from megabase.model.architecture import HEAD_PREFIX, PROMPT_PREFIX
from megabase.model.files import find_file

CHECKPOINT = "weights.ckpt"
_CODE = re.compile(r"GLOBAL ([\w.]+)")  # as torch names what a pickle asks for
UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, OSError, RuntimeError, TypeError, ValueError, pickle.PickleError, zlib.error,
)  # fmt: skip
"""What libraries raise at a damaged file: a pickle may be cut anywhere in a program of its own."""
_SAFE, _SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"


def read_tensors(name: str, hub: Mapping[str, Any]) -> dict[str, Tensor]:
    """Read all tensors of a folder or hub id: safetensors, whole or in shards, or a .ckpt.

    Raises
    ------
    InputError
        If there are none, or they cannot be read.
    """
    if whole := find_file(name, _SAFE, hub):
        return _read_safetensors([whole])
    if index := find_file(name, _SAFE_INDEX, hub):
        shards = _shards(index)
        return _read_safetensors(_all_found(name, shards, hub))
    if checkpoint := find_file(name, CHECKPOINT, hub):
        return read_checkpoint(checkpoint)
    raise InputError(f"{name} has no weights: expected {_SAFE}, {_SAFE_INDEX} or {CHECKPOINT}")


def _reason(error: BaseException) -> str:
    """Return why torch does not read a checkpoint, without its advice on how to trust it."""
    if found := _CODE.search(str(error)):
        return f"it names code to be run, {found[1]}; a checkpoint holds numbers only"
    return (str(error).strip().splitlines() or ["unreadable"])[0]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a released training file, which keeps them under ``state_dict``.

    Raises
    ------
    InputError
        If the file is no checkpoint, or would need code to be run.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of layouts that torch calls deprecated
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise InputError(
            f"{path} is no checkpoint that can be read safely: {_reason(error)}"
        ) from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if (
        not isinstance(tensors, dict)
        or not tensors
        or not all(isinstance(value, Tensor) for value in tensors.values())
        or not all(isinstance(name, str) for name in tensors)
    ):
        raise InputError(f"{path} is no checkpoint: it holds no table of tensors")
    for name, tensor in tensors.items():
        _check_whole(tensor, f"{name} in {path}")
    return dict(tensors)


def _check_whole(tensor: Tensor, name: str) -> None:
    """Raise an InputError unless a tensor is stored number by number, as many as its shape says."""
    is_plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not is_plain or tensor.is_quantized:
        raise InputError(f"{name} is no plain tensor; save it as one, on the CPU")
    if tensor.is_complex():
        raise InputError(f"{name} holds {tensor.dtype}; expected real numbers")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.itemsize:
        raise InputError(
            f"{name} is said to be {tuple(tensor.shape)}, and fewer numbers are stored"
        )


def _read_safetensors(paths: Iterable[Path]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in paths:
        try:
            tensors |= load_file(path)
        except (*UNREADABLE, SafetensorError) as error:
            raise InputError(f"{path} is no whole safetensors file: {error}") from error
    return tensors


def _shards(index: Path) -> list[str]:
    """Read which files an index names."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except UNREADABLE as error:
        raise InputError(f"{index} is no index of safetensors files: {error!r}") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.isprintable():
            raise InputError(f"{index} names {name!r}; expected files of the same folder")
    return names


def _all_found(name: str, shards: Iterable[str], hub: Mapping[str, Any]) -> list[Path]:
    found: list[Path] = []
    for shard in shards:
        path = find_file(name, shard, hub)
        if path is None:
            raise InputError(f"{name} lacks the shard {shard} that its index names")
        found.append(path)
    return found


def has_head(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors are of a model with a head."""
    return any(name.startswith(HEAD_PREFIX) for name in tensors)


def has_prompt(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors are of a model with a soft prompt."""
    return any(name.startswith(PROMPT_PREFIX) for name in tensors)


def weights_sha256(model: nn.Module) -> str:
    """Hash the names and values of all weights: the same for the same model in any layout."""
    return tensors_sha256(model.state_dict())


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Hash names and values, in float32 and the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()
