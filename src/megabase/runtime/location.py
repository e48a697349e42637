"""Where files are: a path, asset:NAME for what ships with the package, or the hub."""

import difflib
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
)

from megabase.errors import InputError

_ASSET = "asset:"
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/+(?P<rest>.*)"
)  # pathlib merges the slashes
_HUB = re.compile(r"(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<id>[^/]+/[^/]+)/?")
_FETCHED_BY = {
    "http": " (curl -LO {})", "https": " (curl -LO {})", "ftp": " (curl -LO {})",
    "s3": " (aws s3 cp {} .)", "gs": " (gcloud storage cp {} .)",
}  # fmt: skip
_GENOMES = {"ecoli": "ecoli.2bit"}
_MODELS = {"default": "default"}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILE_SUFFIXES = (
    ".bin", ".ckpt", ".fa", ".fasta", ".gz", ".h5", ".json", ".npz", ".onnx", ".pt", ".pth",
    ".safetensors", ".tar", ".yaml", ".yml", ".zip",
)  # fmt: skip


def refuse_url(text: str, *, is_output: bool = False) -> None:
    """Raise an InputError if a path is a URL: only local files are read and written.

    Parameters
    ----------
    text
        A path, or a URL, also after `pathlib.Path` has merged its slashes.
    is_output
        Whether the path is to be written.
    """
    found = _URL.fullmatch(text)
    if found is None or text.startswith(_ASSET) or os.path.lexists(text):
        return
    scheme, rest = found["scheme"].lower(), found["rest"]
    if scheme == "file":
        raise InputError(f"file:///{rest} is a URL; give the path of the file: /{rest}")
    url = f"{found['scheme']}://{rest}"
    if is_output:
        raise InputError(f"{url} is a URL, and outputs are local: write to a path, then upload it")
    if hub := _HUB.fullmatch(rest):
        raise InputError(f"{url} is a URL; for a model on the hub, give its id: {hub['id']}")
    by = _FETCHED_BY.get(scheme, "").format(url)
    raise InputError(
        f"{url} is a URL, and only local files are read: download it first{by}, then give its path"
    )


def genome_path(text: str) -> Path:
    """Return the file of a genome.

    Parameters
    ----------
    text
        A path, or ``asset:NAME``; the only shipped genome is ``asset:ecoli``.

    Raises
    ------
    InputError
        If the text is a URL, or names a genome that does not ship with the package.
    """
    refuse_url(text)
    return _shipped(text, _GENOMES, "genomes") if text.startswith(_ASSET) else Path(text)


def model_place(name: str) -> str:
    """Return the folder, file or hub id of a model.

    Parameters
    ----------
    name
        A folder, a file, a hub id, or ``asset:NAME``; the only shipped model is
        ``asset:default``.

    Raises
    ------
    InputError
        If the name is a URL, or names a model that does not ship with the package.
    """
    refuse_url(name)
    return str(_shipped(name, _MODELS, "models")) if name.startswith(_ASSET) else name


def is_hub_id(name: str) -> bool:
    """Return whether a name can be a hub id, ``owner/name``, rather than a path.

    A name with the suffix of a file, or that begins with the name of an existing folder, is a
    path.

    Examples
    --------
    >>> is_hub_id("LongSafari/hyenadna-tiny-1k-seqlen-hf")
    True
    >>> [is_hub_id(name) for name in ("model", "./model", "a/b/c", "~/model", "a/weights.ckpt")]
    [False, False, False, False, False]
    """
    return (
        _HUB_ID.fullmatch(name) is not None
        and not name.lower().endswith(_FILE_SUFFIXES)
        and not Path(name.partition("/")[0]).is_dir()
    )


def describe_missing(path: Path) -> str:
    """Describe which part of a missing path does not exist, and suggest similar names."""
    part = path
    while part.parent != part and not part.parent.exists():
        part = part.parent
    if not part.parent.is_dir():
        return f"{part.parent} is not a folder"
    where = "the current folder" if part.parent == Path() else str(part.parent)
    siblings = sorted(each.name for each in part.parent.iterdir() if not each.name.startswith("."))
    near = difflib.get_close_matches(part.name, siblings, n=3, cutoff=0.7)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{where} has no {part.name!r}{hint}"


def check_exists(path: Path, what: str) -> None:
    """Raise an InputError unless a path exists.

    Parameters
    ----------
    path
        The path.
    what
        What is expected at the path, for the message, such as ``model``.
    """
    if not path.exists():
        raise InputError(f"there is no {what} {path}: {describe_missing(path)}")


def _shipped(text: str, known: Mapping[str, str], kind: str) -> Path:
    """Return the shipped file or folder that ``asset:NAME`` stands for."""
    name = text.removeprefix(_ASSET)
    if name not in known:
        shipped = ", ".join(_ASSET + each for each in known)
        raise InputError(f"the shipped {kind} are {shipped}; got {text!r}")
    return Path(str(files("megabase") / "assets" / known[name]))


def cache_folder() -> Path:
    """Return the folder for files that can be recomputed: indexes, unpacked files, tokens.

    It is ``$MEGABASE_CACHE`` if set, else ``megabase`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Raises
    ------
    InputError
        If neither variable is set and there is no home folder.
    """
    if own := os.environ.get("MEGABASE_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "megabase"
    try:
        return Path.home() / ".cache" / "megabase"
    except RuntimeError as error:
        raise InputError("there is no home folder for the cache; set MEGABASE_CACHE") from error


_SECONDS = 5.0
_TRY_LATER = 408, 429  # with 500 and above, the statuses that the hub's library retries


def seconds_for_hub() -> float:
    """Return the timeout of a request to the hub: 5 s, unless HF_HUB_ETAG_TIMEOUT is set."""
    is_chosen = bool(os.environ.get("HF_HUB_ETAG_TIMEOUT"))
    return float(constants.HF_HUB_ETAG_TIMEOUT) if is_chosen else _SECONDS


def why_unreachable(
    hub_id: str,
    filename: str,
    *,
    repo_type: str = "model",
    revision: str | None = None,
    token: bool | str | None = None,
) -> str | None:
    """Request a file from the hub once, with a short timeout, and return why this failed.

    Parameters
    ----------
    hub_id
        ``owner/name`` of the repository.
    filename
        A file of the repository; it may be missing there.
    repo_type
        ``model`` or ``dataset``.
    revision
        Branch, tag or commit; None for the default branch.
    token
        Access token, True for the stored one, or False for none.

    Returns
    -------
    reason
        Why the hub did not answer; None if it answered, even with an error such as "not found".
    """
    url = hf_hub_url(hub_id, filename, repo_type=repo_type, revision=revision)
    try:
        get_hf_file_metadata(url, token=token, timeout=seconds_for_hub())
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set"
    except (RemoteEntryNotFoundError, EntryNotFoundError):
        return None
    except HfHubHTTPError as error:
        status = error.response.status_code
        return f"HTTP status {status}" if status in _TRY_LATER or status >= 500 else None
    except Exception as error:  # noqa: BLE001 the errors depend on the HTTP library of huggingface_hub
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def find_on_hub(hub_id: str, filename: str, options: Mapping[str, Any]) -> Path | None:
    """Return the path of a file of a model repository, downloaded or cached; None if absent.

    Parameters
    ----------
    hub_id
        ``owner/name`` of the repository.
    filename
        Name of the file.
    options
        Options of `huggingface_hub.hf_hub_download`: revision, token, cache_dir, ...

    Raises
    ------
    OSError
        If the repository does not exist or cannot be accessed.
    """
    try:
        found = hf_hub_download(hub_id, filename, etag_timeout=seconds_for_hub(), **options)
    except EntryNotFoundError:
        return None
    return Path(found)
