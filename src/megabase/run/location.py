"""Where things lie: a path, or asset:NAME for what ships with the package."""

import difflib
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from megabase.errors import InputError

DEFAULT_MODEL = "asset:default"
"""The model that ships with the package: what is meant where none is named."""

_ASSET = "asset:"
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/+(?P<rest>.*)")  # a Path keeps one slash
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
    """Raise an InputError with a remedy if a path is a URL: only local files are read and written.

    Parameters
    ----------
    text
        A path, also one that went through `pathlib.Path`, which joins the slashes of a URL.
    is_output
        Whether it would be written.
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
        raise InputError(f"{url} is a URL; for a model of the hub give its id: {hub['id']}")
    by = _FETCHED_BY.get(scheme, "").format(url)
    raise InputError(
        f"{url} is a URL, and only local files are read: download it first{by}, then give its path"
    )


def genome_path(text: str) -> Path:
    """Give the file that a genome's name stands for.

    Parameters
    ----------
    text
        A path, or ``asset:NAME``; the one shipped genome is ``asset:ecoli``.

    Raises
    ------
    InputError
        If no genome of that name ships with the package, or it is a URL.
    """
    refuse_url(text)
    return _shipped(text, _GENOMES, "genomes") if text.startswith(_ASSET) else Path(text)


def model_place(name: str) -> str:
    """Give the folder, the file or the hub id that a model's name stands for.

    Parameters
    ----------
    name
        One of these, or ``asset:NAME``; the one shipped model is `DEFAULT_MODEL`.

    Raises
    ------
    InputError
        If no model of that name ships with the package, or it is a URL.
    """
    refuse_url(name)
    return str(_shipped(name, _MODELS, "models")) if name.startswith(_ASSET) else name


def is_hub_id(name: str) -> bool:
    """Whether a name may be asked for on the hub: ``owner/name``, and nothing like a path.

    What ends like a file, or begins with the name of a folder that is here, is a path.

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
    """Say which part of a path that does not exist is missing, and name what is nearly so."""
    part = path
    while part.parent != part and not part.parent.exists():
        part = part.parent
    if not part.parent.is_dir():
        return f"{part.parent} is no folder"
    where = "the current folder" if part.parent == Path() else str(part.parent)
    beside = sorted(each.name for each in part.parent.iterdir() if not each.name.startswith("."))
    near = difflib.get_close_matches(part.name, beside, n=3, cutoff=0.7)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{where} has no {part.name!r}{hint}"


def check_there(path: Path, what: str) -> None:
    """Raise an InputError unless a path exists, which says what it would be."""
    if not path.exists():
        raise InputError(f"there is no {what} {path}: {describe_missing(path)}")


def _shipped(text: str, known: Mapping[str, str], kind: str) -> Path:
    """Find what ``asset:NAME`` is among the shipped files or folders of a kind."""
    name = text.removeprefix(_ASSET)
    if name not in known:
        shipped = ", ".join(_ASSET + each for each in known)
        raise InputError(f"the shipped {kind} are {shipped}; got {text!r}")
    return Path(str(files("megabase") / "assets" / known[name]))


def cache_folder() -> Path:
    """Give the folder for what can be made again: indexes, unpacked files, tokens.

    It is ``$MEGABASE_CACHE`` if set, else ``megabase`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if own := os.environ.get("MEGABASE_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "megabase"
    try:
        return Path.home() / ".cache" / "megabase"
    except RuntimeError as error:
        raise InputError("there is no home folder for the cache; set MEGABASE_CACHE") from error
