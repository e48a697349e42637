"""Files derived from another one: the hash of its bytes, and the path while one is written."""

import hashlib
import time
from pathlib import Path
from uuid import uuid4

_HASH_LETTERS = 64
_SETTLED_NS = 2_000_000_000  # longer than the resolution of any file system's timestamps


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_sha256(path: Path, cache: Path) -> str:
    """Return the SHA-256 of a file, computed once for each state of the file.

    The state is path, size, inode and the times of modification and change. Programs cannot set
    the latter (``st_ctime``), so a file replaced by one of the same name, size and date is
    hashed again. A file changed in the last two seconds is hashed every time, because two
    changes within the resolution of the clock have the same times.

    Parameters
    ----------
    path
        The file.
    cache
        Folder in which the hashes are kept.
    """
    state = _state(path)
    note = cache / "sha256" / hashlib.sha256(repr(state).encode()).hexdigest()[:32]
    if note.is_file() and len(found := note.read_text(encoding="utf-8")) == _HASH_LETTERS:
        return found
    is_settled = time.time_ns() - state[-1] > _SETTLED_NS
    found = file_sha256(path)
    if is_settled and _state(path) == state:
        note.parent.mkdir(parents=True, exist_ok=True)
        part = temporary_path(note)
        part.write_text(found, encoding="utf-8")
        part.replace(note)
    return found


def _state(path: Path) -> tuple[str, int, int, int, int]:
    stat = path.stat()
    return str(path.resolve()), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns


def temporary_path(target: Path, suffix: str = "") -> Path:
    """Return a path next to `target`, unique among processes, to be renamed to it.

    Parameters
    ----------
    target
        The final path.
    suffix
        Suffix of the temporary path, for writers that depend on it.
    """
    return target.with_name(f".{target.name}.{uuid4().hex[:12]}.part{suffix}")
