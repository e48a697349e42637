"""What this computer has and lacks, for `megabase doctor`."""

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
"""What a process holds once torch and transformers are imported; benchmarks/memory.py."""

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_EXTRAS = {"matplotlib": ("plot", "figures"), "pybigtools": ("bigwig", "bigWig tracks")}
"""Each optional package: the extra that brings it, and what it is for."""


class Finding(NamedTuple):
    """One thing looked at: its name, what was found, and what follows if it is off."""

    name: str
    value: str
    note: str = ""


def extras() -> list[Finding]:
    """Say which optional packages are there."""
    return [_extra(package, *about) for package, about in _EXTRAS.items()]


def _extra(package: str, extra: str, purpose: str) -> Finding:
    try:
        return Finding(package, version(package))
    except PackageNotFoundError:
        return Finding(package, "off", f"no {purpose}; pip install 'megabase[{extra}]'")


def check_peft() -> None:
    """Raise an InputError unless peft is here, which low-rank adapters need."""
    if find_spec("peft") is None:
        raise InputError("adapt=lora needs peft; pip install 'megabase[lora]'")


def storage(cache: Path) -> list[Finding]:
    """Say how much memory and disk there is, and whether the cache can be written."""
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(place).free / _GIB
    note = "" if os.access(place, os.W_OK) else "not writable; set MEGABASE_CACHE"
    return [
        Finding("memory", f"{memory_bytes() / _GIB:.0f} GiB"),
        Finding("cache", f"{cache} ({free:.0f} GiB free)", note),
    ]


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def memory_bytes() -> int:
    """Give the memory of this computer, or the part of it that a container may take."""
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
