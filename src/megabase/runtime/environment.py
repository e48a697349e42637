"""The provenance of an output, and what this computer has and lacks."""

import ctypes
import os
import platform
import shlex
import shutil
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from megabase.errors import InputError

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


_GIB = 1 << 30
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_EXTRAS = {
    "matplotlib": ("plot", "figures"),
    "logomaker": ("logo", "sequence logos"),
    "pybigtools": ("bigwig", "bigWig tracks"),
    "pyarrow": ("parquet", "Parquet tables"),
    "h5py": ("hdf5", "HDF5 files"),
    "scikit-learn": ("sklearn", "probes and k-mer baselines"),
    "peft": ("lora", "low-rank adapters"),
}
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
