"""Run each command in a fork of a warm process, to avoid the cost of imports."""

import ctypes
import gc
import importlib
import os
import pkgutil
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 60.0
"""Seconds after which a command is considered hung."""

_MOST_MEMORY = 6 << 30  # bytes in addition to the mappings of the warm process
_MOST_FILE = 1 << 28  # bytes per file

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg",
    "CUDA_VISIBLE_DEVICES": "",
}  # fmt: skip
"""Set before torch is imported, because a process with threads must not fork."""

_BESIDE = (
    "h5py", "logomaker", "matplotlib.pyplot", "matplotlib.backends.backend_agg", "pandas", "peft",
    "pyarrow.parquet", "pybigtools", "pysam", "pysam.bcftools", "sklearn.ensemble",
    "sklearn.linear_model", "torch._dynamo", "transformers.models.auto.modeling_auto",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The exit code of a command (negative: the signal that ended it) and its output."""

    code: int
    out: str
    err: str
    seconds: float
    is_late: bool = False


def warm() -> None:
    """Import everything that any verb imports, and compile the native code."""
    os.environ.update(ENVIRONMENT)
    import torch  # noqa: PLC0415 after the environment is set

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    import megabase  # noqa: PLC0415 likewise

    for module in pkgutil.walk_packages(megabase.__path__, "megabase."):
        if ".ops.triton" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _BESIDE:
        importlib.import_module(name)
    from megabase.ops.backends import why_not_compiled  # noqa: PLC0415 likewise

    why_not_compiled()


def run(
    arguments: Sequence[str],
    folder: Path,
    *,
    limit: float = LIMIT_S,
    kill_after: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run ``megabase arguments...`` in a folder, in a fork of this process.

    Parameters
    ----------
    arguments
        Arguments after `megabase`.
    folder
        Working directory; output is redirected to hidden files in it.
    limit
        Seconds after which the command is killed and counts as late.
    kill_after
        Seconds after which the command is killed on purpose, or None.
    environment
        Additional environment variables of the command.
    """
    out, err = folder / ".stdout", folder / ".stderr"
    for path in (out, err):
        path.write_bytes(b"")  # a command can be killed before it opens them
    sys.stdout.flush()
    sys.stderr.flush()
    started = time.monotonic()
    process = os.fork()
    if not process:
        _become(arguments, folder, out, err, environment or {})
    waited = limit if kill_after is None else min(limit, kill_after)
    status, is_late = _wait(process, waited)
    return Outcome(
        os.waitstatus_to_exitcode(status),
        out.read_text(errors="replace"),
        err.read_text(errors="replace"),
        time.monotonic() - started,
        is_late=is_late and kill_after is None,
    )


def _wait(process: int, seconds: float) -> tuple[int, bool]:
    """Wait for a process; kill it and its children after `seconds`. Return (status, is_late)."""
    descriptor = os.pidfd_open(process)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        is_late = not poll.poll(seconds * 1000)
    finally:
        os.close(descriptor)
    if is_late:
        try:
            os.killpg(process, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(process, signal.SIGKILL)  # its process group does not exist yet
    return os.waitpid(process, 0)[1], is_late


def _become(
    arguments: Sequence[str], folder: Path, out: Path, err: Path, environment: Mapping[str, str]
) -> None:
    """Turn this fork into the command; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        die_with_parent()
        for descriptor, path in ((0, Path(os.devnull)), (1, out), (2, err)):
            flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(path, flags, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        os.chdir(folder)
        os.environ.update(
            {"MEGABASE_CACHE": str(folder / ".cache"), "TMPDIR": str(folder), **environment}
        )
        _limit()
        code = _main(arguments)
    except BaseException:  # noqa: BLE001 this process must end here in any case
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _limit() -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + _MOST_MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_FILE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main(arguments: Sequence[str]) -> int:
    from megabase.cli.main import main  # noqa: PLC0415 imported before this process was forked

    sys.argv = ["megabase", *arguments]
    try:
        main()
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    return 0


def in_forks(n: int, work: Callable[[int], None]) -> None:
    """Run `work(number)` for each number below `n` in a fork; raise RuntimeError if one fails."""
    workers = []
    for number in range(n):
        sys.stdout.flush()
        worker = os.fork()
        if not worker:
            code = 1
            try:
                die_with_parent()
                gc.freeze()
                work(number)
                code = 0
            except BaseException:  # noqa: BLE001 the fork must not continue as its parent
                traceback.print_exc()
            finally:
                os._exit(code)
        workers.append(worker)
    if any([os.waitpid(worker, 0)[1] for worker in workers]):
        raise RuntimeError("a worker process failed; its traceback is printed above")


def empty(folder: Path) -> None:
    """Create an empty folder, deleting previous contents."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
