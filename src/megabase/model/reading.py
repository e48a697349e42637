"""Loading a plain language model from a folder, hub id or released file, without transformers."""

import logging
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import MODEL_TYPE, Architecture
from megabase.model.files import ModelFiles, find_file, read_config_file
from megabase.model.fingerprint import FILE, check_fingerprint
from megabase.model.language import LanguageModel, PlainLanguageModel, check_fits
from megabase.model.published import from_published, is_published, keys_of_original
from megabase.model.weights import (
    UNREADABLE,
    has_head,
    has_prompt,
    read_checkpoint,
    read_tensors,
)
from megabase.run.location import DEFAULT_MODEL

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
            f"{name} is a fine-tuned model with a {kind} for labels, but a language model is "
            "needed here; use it with `megabase predict`"
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
