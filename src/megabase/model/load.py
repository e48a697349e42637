"""load(name): a folder, a hub id or a released file becomes a model; save puts it in a folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils.logging import disable_progress_bar

from megabase.errors import InputError, WorkError
from megabase.model.architecture import PROMPT_PREFIX
from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
    HyenaDNAWithHead,
    head_tensors,
)
from megabase.model.config import HyenaDNAConfig
from megabase.model.files import find_file, find_model
from megabase.model.language import check_fits
from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAModel, HyenaDNAPreTrainedModel
from megabase.model.prompted import HyenaDNAForPromptedClassification, prompt_tensors
from megabase.model.reading import (
    FILE,
    UNREADABLE,
    ReadModel,
    check_head_fingerprint,
    fill,
    has_head,
    has_prompt,
    named_in_errors,
    read_keys,
    read_language_model,
    read_tensors,
    tensors_sha256,
    write_fingerprint,
)
from megabase.model.released import config_to_hf, to_published
from megabase.model.tokenizer import HyenaDNATokenizer

Classifier = HyenaDNAWithHead | HyenaDNAForPromptedClassification
"""A model that predicts classes or values for a sequence, or for each of its bases."""

Fingerprinted = HyenaDNAForCausalLM | Classifier

_Kind = TypeVar("_Kind", bound=HyenaDNAPreTrainedModel)


class Loaded(NamedTuple):
    """A loaded language model and its origin.

    Attributes
    ----------
    model
        The model, in evaluation mode.
    tokenizer
        Its tokenizer.
    revision
        The commit, if it was loaded from the hub.
    fingerprint
        The saved log-likelihood in nats that was checked, if the folder has one; see
        `model.fingerprint`.
    """

    model: HyenaDNAForCausalLM
    tokenizer: HyenaDNATokenizer
    revision: str | None
    fingerprint: float | None = None


def load(name: str, *, revision: str | None = None) -> Loaded:
    """Load a language model in float32, without running code of its folder.

    Parameters
    ----------
    name
        A folder of this package, a released ``-hf`` folder, a released folder or file with a
        ``.ckpt``, the hub id of one of these, or `files.DEFAULT_MODEL`, which is included in
        the package.
    revision
        Branch, tag or commit of a hub id.

    Raises
    ------
    InputError
        If the model does not exist or cannot be read, its tensors are not exactly those of its
        configuration, or its fingerprint has changed.
    """
    disable_progress_bar()
    read = read_language_model(find_model(name, revision=revision))
    model = hugging_face(read)
    return Loaded(model, _tokenizer_for(model.config), read.revision, read.fingerprint)


def hugging_face(read: ReadModel) -> HyenaDNAForCausalLM:
    """Return a plain language model as a Hugging Face model that shares its weights.

    Raises
    ------
    InputError
        If transformers does not accept its configuration.
    """
    with named_in_errors(read.name):
        config = HyenaDNAConfig(**read.keys)
    model = _built(lambda: HyenaDNAForCausalLM.around(read.model, config), read.name)
    model.config.name_or_path = read.name
    return model


def load_classifier(name: str, *, revision: str | None = None) -> Classifier:
    """Load a fine-tuned model in float32 and evaluation mode.

    Its class is the one that ``architectures`` in its config.json names: with a head on whole
    sequences, with a head on each token, or with a soft prompt.

    Parameters
    ----------
    name
        A folder that `megabase finetune` wrote, or the hub id of one.
    revision
        Branch, tag or commit of a hub id.

    Raises
    ------
    InputError
        If it is not a HyenaDNA model or has neither head nor prompt, its tensors are not exactly
        those of its configuration, its prompt was trained on other weights, or its fingerprint
        has changed.
    """
    disable_progress_bar()
    files = find_model(name, revision=revision)
    keys = read_keys(files)
    with named_in_errors(f"{files.folder}/config.json"):
        config = HyenaDNAConfig(**keys)
    tensors = read_tensors(files.folder, files.hub)
    if not has_head(tensors) and not has_prompt(tensors):
        raise InputError(
            f"{name} is a language model without a head for labels; add one with `megabase "
            f"finetune --model {name} --train CSV --output DIR`"
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
            f"the weights of {name} are not those its prompt was trained on (base_sha256 in its "
            "config.json); download the folder again"
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
    """Build a model; raise an InputError if transformers does not accept its configuration."""
    try:
        return build()
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: its config.json does not describe a model: {reason}") from error


def save(model: Fingerprinted, folder: Path) -> None:
    """Write a model, its tokenizer and its fingerprint as a Hugging Face folder.

    Parameters
    ----------
    model
        The model.
    folder
        An existing or new folder.

    Raises
    ------
    WorkError
        If the weights cannot be written, for example because the disk is full.
    """
    disable_progress_bar()
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise WorkError(f"the weights could not be written to {folder}: {error}") from error
    _save_tokenizer(model.config, folder)
    write_fingerprint(model, folder)


def save_published(model: HyenaDNAForCausalLM, folder: Path) -> None:
    """Write a model in the layout of the released ``-hf`` folders, with grids and tied head.

    Parameters
    ----------
    model
        The model.
    folder
        An existing folder.

    Raises
    ------
    InputError
        If that layout cannot represent the model's architecture.
    WorkError
        If the weights cannot be written, for example because the disk is full.
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
    """Write the tokenizer through a temporary folder.

    Its library fails on paths that are not UTF-8, and does not report a full disk.
    """
    with TemporaryDirectory() as made:
        _tokenizer_for(config).save_pretrained(made)
        for file in Path(made).iterdir():
            shutil.copyfile(file, folder / file.name)


def base_sha256(model: HyenaDNAPreTrainedModel) -> str:
    """Return the SHA-256 of the weights without a prompt, those of the language model."""
    tensors = model.state_dict()
    beside = [name for name in tensors if name.startswith(PROMPT_PREFIX)]
    return tensors_sha256({name: tensors[name] for name in tensors if name not in beside})


AutoConfig.register(HyenaDNAConfig.model_type, HyenaDNAConfig)
AutoModel.register(HyenaDNAConfig, HyenaDNAModel)
AutoModelForCausalLM.register(HyenaDNAConfig, HyenaDNAForCausalLM)
AutoModelForSequenceClassification.register(HyenaDNAConfig, HyenaDNAForSequenceClassification)
AutoModelForTokenClassification.register(HyenaDNAConfig, HyenaDNAForTokenClassification)
AutoTokenizer.register(HyenaDNAConfig, HyenaDNATokenizer)
