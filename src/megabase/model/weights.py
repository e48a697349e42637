"""Reading the tensors of a model folder, a hub id or a released .ckpt file safely.

Files are safetensors, or pickles that are read by torch's weights-only reader, which runs no
code.
"""

import hashlib
import json
import pickle
import re
import struct
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
_CODE = re.compile(r"GLOBAL ([\w.]+)")  # torch's message for an object that a pickle imports
UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, OSError, RuntimeError, TypeError, ValueError, pickle.PickleError, struct.error,
    zlib.error,
)  # fmt: skip
"""What libraries raise for a damaged file; a pickle is a program, and can be truncated anywhere."""
_SAFE, _SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"


def read_tensors(name: str, hub: Mapping[str, Any]) -> dict[str, Tensor]:
    """Read all tensors of a folder or hub id: safetensors, in one file or in shards, or a .ckpt.

    Parameters
    ----------
    name
        A folder or hub id.
    hub
        Options for the hub's library.

    Raises
    ------
    InputError
        If there are no weights, or they cannot be read.
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
    """Return why torch cannot read a checkpoint, without its advice to disable the check."""
    if found := _CODE.search(str(error)):
        return f"it would run code, {found[1]}; a checkpoint must hold tensors only"
    return (str(error).strip().splitlines() or ["unreadable"])[0]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a released training file, which holds them under ``state_dict``.

    Raises
    ------
    InputError
        If the file is not a checkpoint, or reading it would run code.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about layouts that torch has deprecated
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise InputError(
            f"{path} is not a checkpoint that can be read safely: {_reason(error)}"
        ) from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if (
        not isinstance(tensors, dict)
        or not tensors
        or not all(isinstance(value, Tensor) for value in tensors.values())
        or not all(isinstance(name, str) for name in tensors)
    ):
        raise InputError(f"{path} is not a checkpoint: it holds no table of tensors")
    for name, tensor in tensors.items():
        _check_whole(tensor, f"{name} in {path}")
    return dict(tensors)


def _check_whole(tensor: Tensor, name: str) -> None:
    """Raise an InputError unless a tensor is dense, real, and as large as its shape says."""
    is_plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not is_plain or tensor.is_quantized:
        raise InputError(f"{name} is not a plain tensor; save it as a dense tensor on the CPU")
    if tensor.is_complex():
        raise InputError(f"{name} holds {tensor.dtype}; expected real numbers")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.itemsize:
        raise InputError(
            f"{name} has shape {tuple(tensor.shape)}, but fewer numbers are stored; the file may "
            "be truncated"
        )


def _read_safetensors(paths: Iterable[Path]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in paths:
        try:
            tensors |= load_file(path)
        except (*UNREADABLE, SafetensorError) as error:
            raise InputError(
                f"{path} is not a valid safetensors file, or is truncated: {error}"
            ) from error
    return tensors


def _shards(index: Path) -> list[str]:
    """Return the names of the files in an index."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except UNREADABLE as error:
        raise InputError(f"{index} is not a valid index of safetensors files: {error!r}") from error
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
    """Return whether tensors are of a model with a head."""
    return any(name.startswith(HEAD_PREFIX) for name in tensors)


def has_prompt(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether tensors are of a model with a soft prompt."""
    return any(name.startswith(PROMPT_PREFIX) for name in tensors)


def weights_sha256(model: nn.Module) -> str:
    """Return the SHA-256 of all weights by our names, which does not depend on the file layout."""
    return tensors_sha256(model.state_dict())


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names and values, in float32 and in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()
