"""Sources in C become a shared library for this computer, where it has a compiler."""

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

from megabase.run.location import cache_folder

_log = logging.getLogger(__name__)

_SWITCH = "MEGABASE_COMPILE"
_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
          "-fopenmp", "-fPIC")  # fmt: skip
_CPU, _MAPS = Path("/proc/cpuinfo"), Path("/proc/self/maps")


class Compiled(NamedTuple):
    """A shared library, or why there is none."""

    library: Path | None
    why_not: str = ""


def compile_here(sources: tuple[Path, ...]) -> Compiled:
    """Give the library of some sources, which are compiled once for each kind of CPU.

    It shares the threads of the OpenMP that this process has loaded: that of torch. It lies in
    the cache. ``MEGABASE_COMPILE=0`` switches it off.

    Parameters
    ----------
    sources
        Files of C, and their headers; the first names the library.
    """
    compiler, openmp = shutil.which("gcc"), _loaded_openmp()
    if os.environ.get(_SWITCH) == "0":
        return Compiled(None, f"{_SWITCH} is 0")
    if sys.platform != "linux" or openmp is None:
        return Compiled(None, "it takes Linux and the OpenMP of gcc in torch")
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
    """Find gcc's OpenMP as torch has loaded it; other libraries may bring one of their own."""
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
    """Name all that decides what the compiler makes."""
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
    """Compile, and link with the very OpenMP that is loaded: gcc would take its own."""
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
