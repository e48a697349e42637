"""load(name): a folder, a hub id or a released file becomes a model; save puts it in a folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers.utils.logging import disable_progress_bar

from megabase.errors import InputError, WorkError
from megabase.model.architecture import PROMPT_PREFIX
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.config import HyenaDNAConfig
from megabase.model.files import find_file, find_model
from megabase.model.fingerprint import FILE, check_head_fingerprint, write_fingerprint
from megabase.model.headed import HyenaDNAWithHead, head_tensors
from megabase.model.language import check_fits
from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAPreTrainedModel
from megabase.model.prompted import HyenaDNAForPromptedClassification, prompt_tensors
from megabase.model.published import config_to_hf, to_published
from megabase.model.reading import (
    ReadModel,
    fill,
    named_in_errors,
    read_keys,
    read_language_model,
)
from megabase.model.token_classification import HyenaDNAForTokenClassification
from megabase.model.tokenizer import HyenaDNATokenizer
from megabase.model.weights import UNREADABLE, has_head, has_prompt, read_tensors, tensors_sha256

Classifier = HyenaDNAWithHead | HyenaDNAForPromptedClassification
"""A model that answers a sequence, or its bases, with classes or values."""

Fingerprinted = HyenaDNAForCausalLM | Classifier

_Kind = TypeVar("_Kind", bound=HyenaDNAPreTrainedModel)


class Loaded(NamedTuple):
    """A model that is ready to answer, and where it comes from.

    Attributes
    ----------
    model
        In evaluation mode.
    tokenizer
        Its vocabulary.
    revision
        The commit of a hub id; None elsewhere.
    fingerprint
        What `model.fingerprint` gives, if the folder kept it; it was checked.
    """

    model: HyenaDNAForCausalLM
    tokenizer: HyenaDNATokenizer
    revision: str | None
    fingerprint: float | None = None


def load(name: str, *, revision: str | None = None) -> Loaded:
    """Load a language model strictly, in float32, with no code but ours.

    Parameters
    ----------
    name
        A folder of ours, a released ``-hf`` folder, a released folder or file with a
        ``.ckpt``, the hub id of one of these, or `location.DEFAULT_MODEL`, which ships with us.
    revision
        Branch, tag or commit of a hub id.

    Raises
    ------
    InputError
        If it is none of these, its tensors are not those of its configuration, or it does
        not answer as it did when it was saved.
    """
    disable_progress_bar()
    read = read_language_model(find_model(name, revision=revision))
    model = hugging_face(read)
    return Loaded(model, _tokenizer_for(model.config), read.revision, read.fingerprint)


def hugging_face(read: ReadModel) -> HyenaDNAForCausalLM:
    """Return the Hugging Face model of what was read, which shares its weights.

    Raises
    ------
    InputError
        If its configuration holds what transformers cannot work with.
    """
    with named_in_errors(read.name):
        config = HyenaDNAConfig(**read.keys)
    model = _built(lambda: HyenaDNAForCausalLM.around(read.model, config), read.name)
    model.config.name_or_path = read.name
    return model


def load_classifier(name: str, *, revision: str | None = None) -> Classifier:
    """Load a fine-tuned model strictly, in float32 and evaluation mode.

    It is of the class that ``architectures`` of its configuration name: with a head on whole
    sequences, with one on each token, or with a soft prompt.

    Parameters
    ----------
    name
        A folder that `megabase finetune` wrote, or the hub id of one.
    revision
        Branch, tag or commit of a hub id.

    Raises
    ------
    InputError
        If it is no model of ours or has neither head nor prompt, its tensors are not those of
        its configuration, its prompt was learnt on other weights, or it does not answer as it
        did when it was saved.
    """
    disable_progress_bar()
    files = find_model(name, revision=revision)
    keys = read_keys(files)
    with named_in_errors(f"{files.folder}/config.json"):
        config = HyenaDNAConfig(**keys)
    tensors = read_tensors(files.folder, files.hub)
    if not has_head(tensors) and not has_prompt(tensors):
        raise InputError(
            f"{name} is a language model without a head for labels; `megabase finetune --model "
            f"{name} --train CSV --output DIR` gives it one"
        )
    kind = _class_of(config)
    is_prompted = kind is HyenaDNAForPromptedClassification
    beside = prompt_tensors(config) if is_prompted else head_tensors(config)
    check_fits(tensors, config, name, head=beside)
    model = _built(lambda: kind(config), name)
    fill(model, tensors)
    model.config.name_or_path = name
    if is_prompted and base_sha256(model) != config.base_sha256:
        raise InputError(
            f"{name} holds other weights than its prompt was learnt on (base_sha256 of its "
            "config.json); fetch the folder anew"
        )
    if kept := find_file(files.folder, FILE, files.hub):
        check_head_fingerprint(model, kept)
    return model


def _class_of(config: HyenaDNAConfig) -> type[Classifier]:
    for kind in (HyenaDNAForTokenClassification, HyenaDNAForPromptedClassification):
        if kind.__name__ in (config.architectures or ()):
            return kind
    return HyenaDNAForSequenceClassification


def _built(build: Callable[[], _Kind], name: str) -> _Kind:
    """Build a model, whose configuration may hold what transformers cannot do with."""
    try:
        return build()
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: no model can be built of its config.json: {reason}") from error


def save(model: Fingerprinted, folder: Path) -> None:
    """Write a model, its tokenizer and its fingerprint as a plain Hugging Face folder.

    Raises
    ------
    WorkError
        If the disk does not take them.
    """
    disable_progress_bar()
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise WorkError(f"the weights could not be written to {folder}: {error}") from error
    _save_tokenizer(model.config, folder)
    write_fingerprint(model, folder)


def save_published(model: HyenaDNAForCausalLM, folder: Path) -> None:
    """Write a model in the layout of the released ``-hf`` folders, grids and tied head included.

    Raises
    ------
    InputError
        If that layout has no place for the model's architecture.
    WorkError
        If the disk does not take it.
    """
    keys = config_to_hf(model.config)
    tensors = to_published(model.state_dict(), model.config)
    try:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    except SafetensorError as error:
        raise WorkError(f"the weights could not be written to {folder}: {error}") from error
    (folder / "config.json").write_text(json.dumps(keys, indent=2) + "\n", encoding="utf-8")
    _save_tokenizer(model.config, folder)


def _tokenizer_for(config: HyenaDNAConfig) -> HyenaDNATokenizer:
    return HyenaDNATokenizer(model_max_length=config.longest_sequence)


def _save_tokenizer(config: HyenaDNAConfig, folder: Path) -> None:
    """Write the tokenizer by way of a temporary folder.

    Its library takes no path that is not UTF-8, and does not tell when a disk is full.
    """
    with TemporaryDirectory() as made:
        _tokenizer_for(config).save_pretrained(made)
        for file in Path(made).iterdir():
            shutil.copyfile(file, folder / file.name)


def base_sha256(model: HyenaDNAPreTrainedModel) -> str:
    """Hash the weights without a prompt: what `weights_sha256` gives of the language model."""
    tensors = model.state_dict()
    beside = [name for name in tensors if name.startswith(PROMPT_PREFIX)]
    return tensors_sha256({name: tensors[name] for name in tensors if name not in beside})
