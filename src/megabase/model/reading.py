"""A folder, a hub id or a released file becomes a plain language model; without transformers.

Files are safetensors, or pickles that are read by torch's weights-only reader, which runs no
code.
"""

import hashlib
import json
import logging
import math
import pickle
import re
import struct
import warnings
import zlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import HEAD_PREFIX, MODEL_TYPE, PROMPT_PREFIX, Architecture
from megabase.model.files import DEFAULT_MODEL, ModelFiles, find_file, read_config_file
from megabase.model.language import LanguageModel, PlainLanguageModel, TokenReader, check_fits
from megabase.model.released import from_published, is_published, keys_of_original

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


FILE = "fingerprint.json"
_LENGTH = 256
_TOLERANCE = 1e-4  # nats per base; rounding differs between machines and engines, but by less
_TOLERANCE_OF_HEAD = 1e-3  # for logits, or values in standard units

_KEY, _KEY_OF_HEAD = "log_likelihood", "logits"
_CHANGED = (
    "when it was saved: weights or configuration have changed since; download the folder again, "
    "or remove that file if the change was intended"
)


def fingerprint(model: LanguageModel) -> float:
    """Return the log-likelihood in nats of a fixed sequence, from its second base on.

    The sequence is the first 256 bases, or as many as the model reads, of the SHA-256 digests of
    "megabase 0", "megabase 1" and so on, two bits per base.

    Parameters
    ----------
    model
        The model, in training or evaluation mode.
    """
    tokens = _sequence(model.config.context_length)
    with _answering(model):
        # not by `forward`, which may have been wrapped on this instance to round its result
        tokens = tokens.to(next(model.parameters()).device)
        loss = model.next_token_loss(tokens[None])
    return -float(loss) * (len(tokens) - 1)


def head_fingerprint(model: TokenReader) -> list[float]:
    """Return the logits or values for the same sequence, or for its last token.

    The sequence is truncated to the longest that the model reads at once.

    Parameters
    ----------
    model
        A model with a head or a soft prompt, in training or evaluation mode.
    """
    tokens = _sequence(model.config.longest_sequence).to(next(model.parameters()).device)
    with _answering(model):
        output = type(model).forward(model, tokens[None])  # pyright: ignore[reportArgumentType]
    return output.logits.flatten(0, -2)[-1].tolist()


@contextmanager
def _answering(model: TokenReader) -> Generator[None]:
    """Put a model into evaluation mode, without gradients, within a context."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(was_training)


def write_fingerprint(model: TokenReader, folder: Path) -> None:
    """Write the fingerprint of a model to `FILE` in its folder."""
    if isinstance(model, LanguageModel):
        kept: dict[str, object] = {_KEY: fingerprint(model)}
    else:
        kept = {_KEY_OF_HEAD: head_fingerprint(model)}
    (folder / FILE).write_text(json.dumps(kept) + "\n", encoding="utf-8")


def check_fingerprint(model: LanguageModel, file: Path) -> float:
    """Return the saved log-likelihood in nats, after comparing it with that of the model.

    Parameters
    ----------
    model
        The loaded model.
    file
        The saved fingerprint.

    Raises
    ------
    InputError
        If the model has another fingerprint, or the file cannot be read.
    """
    kept = _kept(file, _KEY)
    now = [fingerprint(model)]
    if not _is_near(now, kept, [_TOLERANCE * _LENGTH]):
        raise InputError(
            f"the model next to {file} has a fingerprint of {now[0]:.4f} nats; it had "
            f"{kept[0]:.4f} {_CHANGED}"
        )
    return kept[0]


def check_head_fingerprint(model: TokenReader, file: Path) -> list[float]:
    """Return the saved logits or values, after comparing them with those of the model.

    Parameters
    ----------
    model
        The loaded model.
    file
        The saved fingerprint.

    Raises
    ------
    InputError
        If the model has another fingerprint, or the file cannot be read.
    """
    kept, now = _kept(file, _KEY_OF_HEAD), head_fingerprint(model)
    scale = model.config.target_scale or [1.0] * len(now)
    if not _is_near(now, kept, [_TOLERANCE_OF_HEAD * each for each in scale]):
        raise InputError(
            f"the model next to {file} has the fingerprint {now}; it had {kept} {_CHANGED}"
        )
    return kept


def _kept(file: Path, key: str) -> list[float]:
    """Read the number or numbers under a key of a saved fingerprint."""
    try:
        kept = np.asarray(json.loads(file.read_text(encoding="utf-8"))[key], dtype=float)
        return np.atleast_1d(kept).ravel().tolist()
    except (ValueError, LookupError, TypeError, ArithmeticError, OSError, RecursionError) as error:
        raise InputError(f"{file} has no valid {key}: {error}") from error


def _is_near(now: list[float], kept: list[float], tolerances: list[float]) -> bool:
    """Return whether all numbers agree; a model that had diverged must be NaN both times."""
    return len(now) == len(kept) and all(
        abs(one - other) <= tolerance or (math.isnan(one) and math.isnan(other))
        for one, other, tolerance in zip(now, kept, tolerances, strict=True)
    )


def _sequence(longest: int) -> torch.Tensor:
    length = min(_LENGTH, longest)
    n_digests = -(-length // 128)
    digests = b"".join(hashlib.sha256(f"megabase {i}".encode()).digest() for i in range(n_digests))
    bases = [byte >> shift & 3 for byte in digests for shift in (6, 4, 2, 0)]
    return torch.tensor([DNA_VOCABULARY.base_ids[base] for base in bases[:length]])


_log = logging.getLogger(__name__)


class ReadModel(NamedTuple):
    """A loaded language model and its origin.

    Attributes
    ----------
    name
        The name as the user wrote it.
    model
        The model, in evaluation mode.
    keys
        The keys of its config.json, under our names.
    revision
        The commit, if it was loaded from the hub.
    fingerprint
        The saved log-likelihood in nats that was checked, if the folder has one; see
        `model.fingerprint`.
    """

    name: str
    model: LanguageModel
    keys: Mapping[str, Any]
    revision: str | None
    fingerprint: float | None


def read_language_model(files: ModelFiles) -> ReadModel:
    """Load a language model in float32 as a plain torch module.

    Parameters
    ----------
    files
        Location of the model, from `files.find_model`.

    Raises
    ------
    InputError
        If a file is missing or invalid, the tensors are not exactly those of the configuration,
        the model is fine-tuned, or its fingerprint has changed.
    """
    name = files.name
    if name == DEFAULT_MODEL:
        _log.info("the model is %s, which is included in megabase", name)
    keys = read_keys(files)
    config = Architecture.from_keys(keys)
    checkpoint = files.checkpoint
    tensors = read_checkpoint(checkpoint) if checkpoint else read_tensors(files.folder, files.hub)
    if is_published(tensors):
        tensors = from_published(tensors, config, name)
    if has_head(tensors) or has_prompt(tensors):
        kind = "head" if has_head(tensors) else "prompt"
        raise InputError(
            f"{name} is a fine-tuned model with a {kind}, which predicts labels, and a language "
            "model is needed here; use it with `megabase predict`, or name its language model"
        )
    check_fits(tensors, config, name)
    model = PlainLanguageModel(config)
    fill(model, tensors)
    kept = None if checkpoint else find_file(files.folder, FILE, files.hub)
    answer = None if kept is None else check_fingerprint(model, kept)
    return ReadModel(name, model, keys, _commit(files), answer)


def read_keys(files: ModelFiles) -> dict[str, Any]:
    """Return the keys of a config.json of any release, under our names.

    Parameters
    ----------
    files
        Location of the model, from `files.find_model`.

    Raises
    ------
    InputError
        If a key is invalid, or the model is of another type or has another vocabulary.
    """
    folder, keys = files.folder, read_config_file(files.folder, files.hub)
    kind, source = keys.pop("model_type", None), f"{files.folder}/config.json"
    if kind not in (None, MODEL_TYPE):
        raise InputError(f"{folder} holds a model of type {kind!r}; expected {MODEL_TYPE!r}")
    with named_in_errors(source):
        if kind is None:
            keys = keys_of_original(keys, source)
        config = Architecture.from_keys(keys)
    if config.vocab_size - config.n_added_tokens != len(DNA_VOCABULARY):
        raise InputError(
            f"{folder} has a vocabulary of {config.vocab_size} tokens; "
            f"that of DNA has {len(DNA_VOCABULARY)}"
        )
    return keys


@contextmanager
def named_in_errors(source: str) -> Generator[None]:
    """Convert any error within a context to an InputError that begins with `source`."""
    try:
        yield
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(reason if source in reason else f"{source}: {reason}") from error


def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load all weights of `model` in float32, and put it into evaluation mode."""
    model.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    model.eval()


def _commit(files: ModelFiles) -> str | None:
    """Return the commit of a hub model, which is part of the path in the hub's cache."""
    path = find_file(files.folder, "config.json", files.hub)
    match = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix()) if path else None
    return match[1] if match else None
