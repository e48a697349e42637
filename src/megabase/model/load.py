"""load(name): a folder, a hub id or a released file becomes a model; save puts it in a folder."""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from megabase.errors import InputError, WorkError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.config import HyenaDNAConfig
from megabase.model.files import ModelFiles, find_file, find_model, read_config_file
from megabase.model.fingerprint import (
    FILE,
    Classifier,
    Fingerprinted,
    check_fingerprint,
    check_head_fingerprint,
    write_fingerprint,
)
from megabase.model.headed import has_head, head_tensors
from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAPreTrainedModel, check_fits
from megabase.model.prompted import (
    PREFIX,
    HyenaDNAForPromptedClassification,
    has_prompt,
    prompt_tensors,
)
from megabase.model.published import (
    config_from_original,
    config_to_hf,
    from_published,
    is_published,
    to_published,
)
from megabase.model.token_classification import HyenaDNAForTokenClassification
from megabase.model.tokenizer import HyenaDNATokenizer
from megabase.model.weights import UNREADABLE, read_checkpoint, read_tensors
from megabase.run.location import DEFAULT_MODEL

_log = logging.getLogger(__name__)

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
    files = find_model(name, revision=revision)
    if name == DEFAULT_MODEL:
        _log.info("the model is %s, which ships with megabase", name)
    config = _read_config(files)
    checkpoint = files.checkpoint
    tensors = read_checkpoint(checkpoint) if checkpoint else read_tensors(files.folder, files.hub)
    if is_published(tensors):
        tensors = from_published(tensors, config, name)
    if has_head(tensors) or has_prompt(tensors):
        kind = "head" if has_head(tensors) else "prompt"
        raise InputError(
            f"{name} is a fine-tuned model, with a {kind} for labels; here a language model is "
            "needed. `megabase predict` takes the fine-tuned one"
        )
    check_fits(tensors, config, name)
    model = _built(HyenaDNAForCausalLM, config, name)
    _fill(model, tensors, name)
    kept = None if checkpoint else find_file(files.folder, FILE, files.hub)
    answer = None if kept is None else check_fingerprint(model, kept)
    return Loaded(model, _tokenizer_for(config), _commit(files), answer)


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
    config = _read_config(files)
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
    model = _built(kind, config, name)
    _fill(model, tensors, name)
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


def _built(kind: type[_Kind], config: HyenaDNAConfig, name: str) -> _Kind:
    """Build a model, whose configuration may hold what transformers cannot do with."""
    try:
        return kind(config)
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: no model can be built of its config.json: {reason}") from error


def _fill(model: HyenaDNAPreTrainedModel, tensors: Mapping[str, Tensor], name: str) -> None:
    model.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    model.config.name_or_path = name
    model.eval()


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


def weights_sha256(model: HyenaDNAPreTrainedModel) -> str:
    """Hash the names and values of all weights: the same for the same model in any layout."""
    return _sha256(model.state_dict())


def base_sha256(model: HyenaDNAPreTrainedModel) -> str:
    """Hash the weights without a prompt: what `weights_sha256` gives of the language model."""
    tensors = model.state_dict()
    return _sha256({name: tensors[name] for name in tensors if not name.startswith(PREFIX)})


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()


def _read_config(files: ModelFiles) -> HyenaDNAConfig:
    folder = files.folder
    config = _config_of(read_config_file(folder, files.hub), folder)
    if config.vocab_size - config.n_added_tokens != len(DNA_VOCABULARY):
        raise InputError(
            f"{folder} has a vocabulary of {config.vocab_size} tokens; "
            f"the one of DNA has {len(DNA_VOCABULARY)}"
        )
    return config


def _config_of(keys: dict[str, Any], folder: str) -> HyenaDNAConfig:
    """Make a configuration of what was read; whatever transformers objects to is an InputError."""
    kind, source = keys.get("model_type"), f"{folder}/config.json"
    try:
        if kind is None:
            return config_from_original(keys, source)
        if kind == HyenaDNAConfig.model_type:
            return HyenaDNAConfig(**{key: keys[key] for key in keys if key != "model_type"})
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        named = reason if source in reason else f"{source}: {reason}"
        raise InputError(named) from error
    raise InputError(
        f"{folder} holds a model of type {kind!r}; expected {HyenaDNAConfig.model_type!r}"
    )


def _commit(files: ModelFiles) -> str | None:
    """Read the commit off the path of a file in the hub's cache."""
    path = find_file(files.folder, "config.json", files.hub)
    match = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix()) if path else None
    return match[1] if match else None
