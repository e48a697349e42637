"""Compile C sources to a shared library for this computer, if it has a compiler."""

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from megabase.runtime.location import cache_folder

_log = logging.getLogger(__name__)

_SWITCH = "MEGABASE_COMPILE"
_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
          "-fopenmp", "-fPIC")  # fmt: skip
_CPU, _MAPS = Path("/proc/cpuinfo"), Path("/proc/self/maps")


class Compiled(NamedTuple):
    """The path of a shared library, or None and the reason."""

    library: Path | None
    why_not: str = ""


def compile_here(sources: tuple[Path, ...]) -> Compiled:
    """Return the compiled library of C sources; compile them once for each type of CPU.

    The library is kept in the cache. It is linked with the OpenMP that this process has loaded,
    that of torch, and shares its threads. ``MEGABASE_COMPILE=0`` switches compilation off.

    Parameters
    ----------
    sources
        C files and their headers; the library is named after the first.
    """
    compiler, openmp = shutil.which("gcc"), _loaded_openmp()
    if os.environ.get(_SWITCH) == "0":
        return Compiled(None, f"{_SWITCH} is 0")
    if sys.platform != "linux" or openmp is None:
        return Compiled(None, "it needs Linux and a torch built with the OpenMP of gcc")
    if compiler is None:
        return Compiled(None, "gcc is not installed")
    library = cache_folder() / f"{sources[0].stem}-{_key(sources, compiler, openmp)}.so"
    if library.exists():
        return Compiled(library)
    started = time.monotonic()
    try:
        _compile(sources, compiler, openmp, library)
    except OSError as error:
        return Compiled(None, f"it cannot be written: {error}")
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "error" in line]
        return Compiled(None, f"gcc failed: {(lines or [str(error)])[0]}")
    seconds = time.monotonic() - started
    _log.info("compiled %s for this CPU in %.1f s", library, seconds)
    return Compiled(library)


def _loaded_openmp() -> Path | None:
    """Return the libgomp that torch has loaded; other libraries may bring their own copy."""
    if not _MAPS.exists():
        return None
    loaded = {
        line.split()[-1]
        for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        if "libgomp" in line
    }
    of_torch = {path for path in loaded if "/torch/" in path} or loaded
    return Path(of_torch.pop()) if len(of_torch) == 1 else None


def _key(sources: tuple[Path, ...], compiler: str, openmp: Path) -> str:
    """Return a hash of everything that determines the output of the compiler."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    lines = _CPU.read_text(encoding="utf-8", errors="replace").splitlines()
    able = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    parts = (
        [source.read_bytes() for source in sources],
        version,
        openmp.name,
        able,
        platform.machine(),
        _FLAGS,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _compile(sources: tuple[Path, ...], compiler: str, openmp: Path, library: Path) -> None:
    """Compile, and link with the OpenMP that is already loaded; gcc would choose its own."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=library.parent, prefix=".compile-") as folder:
        linked = Path(folder, library.name)
        parts = [str(source) for source in sources if source.suffix == ".c"]
        _run([compiler, *_FLAGS, "-c", *parts], folder)
        made = [Path(part).with_suffix(".o").name for part in parts]
        _run([compiler, "-shared", *made, str(openmp), "-lm", "-o", linked.name], folder)
        linked.rename(library)


def _run(command: list[str], folder: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
