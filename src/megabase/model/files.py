"""Locating the files of a model: in a folder, next to a released file, or on the hub; no torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from megabase.errors import InputError
from megabase.runtime.location import describe_missing, is_hub_id, model_place

DEFAULT_MODEL = "asset:default"
"""The model that ships with the package, and the default if no model is named."""

HUB_OPTIONS = (
    "cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token",
)  # fmt: skip
"""Options for the hub, under the names of transformers."""


class ModelFiles(NamedTuple):
    """The location of a model.

    Attributes
    ----------
    name
        The name as the user wrote it.
    folder
        Its folder, or its hub id.
    checkpoint
        The released file of weights, if the name is that of a file.
    hub
        Options for the hub's library; empty for a folder.
    """

    name: str
    folder: str
    checkpoint: Path | None
    hub: Mapping[str, Any]


def find_model(name: str, *, revision: str | None = None) -> ModelFiles:
    """Locate a model, and check that it has a readable config.json, without importing torch.

    The hub is queried once, with a short timeout. If it does not answer, files that were
    downloaded before are used.

    Parameters
    ----------
    name
        A folder, a released file, ``asset:NAME``, or a hub id, ``owner/name``.
    revision
        Branch, tag or commit of a hub id.

    Raises
    ------
    InputError
        If the folder, file or hub model does not exist, or its config.json is missing or invalid.
    """
    place = model_place(name)
    path = Path(place)
    if path.exists():
        file = path if path.is_file() else None
        found = ModelFiles(name, str(path.parent) if file else place, file, {})
    elif is_hub_id(place):
        found = ModelFiles(name, place, None, _hub_options(name, revision))
    else:
        raise InputError(
            f"no model folder or file {name}: {describe_missing(path)} (the name of a hub model "
            "is owner/name)"
        )
    read_config_file(found.folder, found.hub)
    return found


def _hub_options(name: str, revision: str | None) -> dict[str, Any]:
    """Return options for the hub's library: if the hub does not answer, to read only its cache."""
    from megabase.runtime.location import find_on_hub, why_unreachable

    options = {} if revision is None else {"revision": revision}
    reason = why_unreachable(name, "config.json", revision=revision)
    if reason is None:
        return options
    cached: dict[str, Any] = {**options, "local_files_only": True}
    if find_on_hub(name, "config.json", cached) is None:
        raise InputError(
            f"no model folder {name!r}, and the hub cannot be reached ({reason}); "
            "give a folder, or a hub model that was downloaded before"
        )
    return cached


def find_file(name: str, filename: str, hub: Mapping[str, Any]) -> Path | None:
    """Return the path of a file in a folder or a hub repository, None if it has no such file.

    Parameters
    ----------
    name
        A folder, or a hub id if there is no such folder.
    filename
        Name of the file.
    hub
        Options for the hub's library: revision, token, cache_dir, subfolder, ...

    Raises
    ------
    InputError
        If the name is neither a folder nor a hub id.
    OSError
        If the hub has no such repository, or denies access to it.
    """
    if Path(name).is_dir():
        path = Path(name, hub.get("subfolder") or "", filename)
        return path if path.is_file() else None
    if not is_hub_id(name):
        raise InputError(f"no model folder {name}: {describe_missing(Path(name))}")
    from megabase.runtime.location import find_on_hub

    return find_on_hub(name, filename, hub)


def read_config_file(name: str, hub: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of the config.json of a folder or hub id.

    Parameters
    ----------
    name
        A folder, or a hub id.
    hub
        Options for the hub's library.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, or is not a JSON object.
    """
    try:
        path = find_file(name, "config.json", hub)
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error
    if path is None and Path(name).is_dir():
        raise InputError(f"{name} is not a model folder: it has no config.json")
    if path is None:
        raise InputError(
            f"no model folder {name!r}, and no readable hub model of that name (offline, only "
            "models that were downloaded before can be read)"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise InputError(
            f"{path} must hold a JSON object of configuration keys, got {type(config).__name__}"
        )
    return config
