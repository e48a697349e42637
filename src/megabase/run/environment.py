"""The capabilities of this computer, for `megabase doctor`."""

import ctypes
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from megabase.errors import InputError

_GIB = 1 << 30
LIBRARIES_BYTES = int(0.4 * _GIB)
"""Memory of a process after importing torch and transformers; see benchmarks/memory.py."""

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_EXTRAS = {"matplotlib": ("plot", "figures"), "pybigtools": ("bigwig", "bigWig tracks")}
"""Each optional package: the extra that installs it, and its purpose."""


class Finding(NamedTuple):
    """A line of the report: name, value, and a note with the remedy if there is a problem."""

    name: str
    value: str
    note: str = ""


def extras() -> list[Finding]:
    """Report which optional packages are installed."""
    return [_extra(package, *about) for package, about in _EXTRAS.items()]


def _extra(package: str, extra: str, purpose: str) -> Finding:
    try:
        return Finding(package, version(package))
    except PackageNotFoundError:
        return Finding(package, "off", f"no {purpose}; pip install 'megabase[{extra}]'")


def check_peft() -> None:
    """Raise an InputError unless peft, which low-rank adapters need, is installed."""
    if find_spec("peft") is None:
        raise InputError("adapt=lora needs peft; pip install 'megabase[lora]'")


def storage(cache: Path) -> list[Finding]:
    """Report memory, free disk space and whether the cache folder is writable."""
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(place).free / _GIB
    note = "" if os.access(place, os.W_OK) else "not writable; set MEGABASE_CACHE"
    return [
        Finding("memory", f"{memory_bytes() / _GIB:.0f} GiB"),
        Finding("cache", f"{cache} ({free:.0f} GiB free)", note),
    ]


def is_first_process() -> bool:
    """Return whether this is the only process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def memory_bytes() -> int:
    """Return the memory of this computer in bytes, or the limit of its container if lower."""
    physical = _physical_bytes()
    try:
        return min(physical, int(_CONTAINER_LIMIT.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # no such file, or "max"
        return physical


def _physical_bytes() -> int:
    if sys.platform == "win32":
        kib = ctypes.c_ulonglong()
        ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kib))
        return kib.value * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
