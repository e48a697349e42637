"""The files of a model, which lie in a folder, beside a released file, or on the hub; no torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from megabase.errors import InputError
from megabase.run.location import describe_missing, is_hub_id, model_place

HUB_OPTIONS = (
    "cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token",
)  # fmt: skip
"""Options of the hub, as transformers has them."""


class ModelFiles(NamedTuple):
    """Where a model lies.

    Attributes
    ----------
    name
        As the user wrote it.
    folder
        Its folder, or its hub id.
    checkpoint
        The released file of weights, if the name is that of a file.
    hub
        Options of the hub's library, none of a folder.
    """

    name: str
    folder: str
    checkpoint: Path | None
    hub: Mapping[str, Any]


def find_model(name: str, *, revision: str | None = None) -> ModelFiles:
    """Find a model and read that it has a configuration, before anything large is imported.

    A hub id is asked for once, with a short timeout; if the hub does not answer, what was
    downloaded before is taken.

    Parameters
    ----------
    name
        A folder, a released file, ``asset:NAME``, or a hub id, ``owner/name``.
    revision
        Branch, tag or commit of a hub id.

    Raises
    ------
    InputError
        If there is no such folder, file or hub model, or it has no config.json of keys.
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
            f"there is no model folder or file {name}: {describe_missing(path)} (a hub model is "
            "named owner/name)"
        )
    read_config_file(found.folder, found.hub)
    return found


def _hub_options(name: str, revision: str | None) -> dict[str, Any]:
    """Return the options of the hub's library; if the hub does not answer, to read its cache."""
    from megabase.run.hub import find_on_hub, why_unreachable

    options = {} if revision is None else {"revision": revision}
    reason = why_unreachable(name, "config.json", revision=revision)
    if reason is None:
        return options
    cached: dict[str, Any] = {**options, "local_files_only": True}
    if find_on_hub(name, "config.json", cached) is None:
        raise InputError(
            f"there is no model folder {name!r}, and the hub cannot be asked for it ({reason}); "
            "name a folder, or a hub model that was downloaded before"
        )
    return cached


def find_file(name: str, filename: str, hub: Mapping[str, Any]) -> Path | None:
    """Find a file in a folder, or in a hub repository if there is no such folder.

    Parameters
    ----------
    name
        A folder, or a hub id.
    filename
        The file wanted.
    hub
        Options of the hub's library: revision, token, cache_dir, subfolder, ...

    Raises
    ------
    InputError
        If the name is neither a folder nor a hub id.
    OSError
        If the hub has no such repository, or does not let it be read.
    """
    if Path(name).is_dir():
        path = Path(name, hub.get("subfolder") or "", filename)
        return path if path.is_file() else None
    if not is_hub_id(name):
        raise InputError(f"there is no model folder {name}: {describe_missing(Path(name))}")
    from megabase.run.hub import find_on_hub

    return find_on_hub(name, filename, hub)


def read_config_file(name: str, hub: Mapping[str, Any]) -> dict[str, Any]:
    """Read config.json of a folder or hub id.

    Raises
    ------
    InputError
        If there is none, or it is no JSON object.
    """
    try:
        path = find_file(name, "config.json", hub)
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error
    if path is None and Path(name).is_dir():
        raise InputError(f"{name} is no model folder: it has no config.json")
    if path is None:
        raise InputError(
            f"there is no model folder {name!r}, and no hub model of that name that can be read "
            "(offline, only what was downloaded before)"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds no configuration, but {type(config).__name__}")
    return config
