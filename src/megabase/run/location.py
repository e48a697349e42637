"""Resolve locations: paths, hub ids, and asset:NAME for files that ship with the package."""

import difflib
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from megabase.errors import InputError

DEFAULT_MODEL = "asset:default"
"""The model that ships with the package, and the default if no model is named."""

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
        A folder, a file, a hub id, or ``asset:NAME``; the only shipped model is `DEFAULT_MODEL`.

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


def check_there(path: Path, what: str) -> None:
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
