"""Provenance of outputs: versions, machine, command, and hashes of the inputs."""

import hashlib
import os
import platform
import shlex
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

_HASH_LETTERS = 64
_SETTLED_NS = 2_000_000_000  # longer than the resolution of any file system's timestamps
_PACKAGES = ("megabase", "torch", "transformers", "numpy")


def stamp() -> dict[str, Any]:
    """Describe what wrote an output, where and when."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "machine": machine(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, megabase and the libraries that affect its numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def machine() -> str:
    """Describe the processor and the system in one line."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _processor() -> str:
    """Return the name of the processor, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


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
        part = note.with_name(f".{note.name}.{uuid4().hex[:12]}.part")
        part.write_text(found, encoding="utf-8")
        part.replace(note)
    return found


def _state(path: Path) -> tuple[str, int, int, int, int]:
    stat = path.stat()
    return str(path.resolve()), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns
