"""Outputs that are complete or absent, record their origin, and are not overwritten by default.

Each output has a record, a JSON file: the request, the stamp, whether the output is finished,
and results. The same request on a finished output does nothing; any other request is an error.
"""

import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from megabase.errors import InputError, WorkError
from megabase.runtime.environment import stamp
from megabase.runtime.location import model_place

_log = logging.getLogger(__name__)

RECORD = "megabase.json"
"""Name of the record in an output folder; the record of a file is ``FILE.megabase.json``."""

_JOINT = "."
_LOCK = ".megabase.lock"
_PARTS = r"\..*\.(lock|parts?(\..*)?)"  # names of temporary files and locks
_LEFT_BY_A_KILL = r"\.[0-9a-f]{12}\.part(\..*)?"  # follows a dot and the name of an output
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # file systems without fsync


class Output:
    """A file or folder that a command writes.

    Parameters
    ----------
    path
        The file or folder.
    request
        Everything that determines the content: command, configuration, hashes of inputs.
    is_folder
        Whether the output is a folder, not a file.
    overwrite
        Whether an existing output may be replaced.

    Attributes
    ----------
    is_finished
        Whether the same request has already finished this output.
    unfinished
        The results recorded at the start of the same request if it was interrupted; else None.

    Raises
    ------
    InputError
        If the path cannot be written, or exists from another origin and `overwrite` is false.
    """

    def __init__(
        self, path: Path, request: Mapping[str, Any], *, is_folder: bool, overwrite: bool
    ) -> None:
        self.path = path
        self._is_folder = is_folder
        self._request = json.loads(json.dumps(request))
        self._record = path / RECORD if is_folder else Path(f"{path}{_JOINT}{RECORD}")
        check_place(path, is_folder=is_folder)
        self.is_finished = False
        self.unfinished: Mapping[str, Any] | None = None
        if not overwrite and _holds_something(path):
            self._compare(read_record(self._record))
        if self.is_finished:
            self._remove_leftovers()
            _log.info("%s is finished already by the same command; nothing was changed", path)

    def _remove_leftovers(self) -> None:
        """Remove what a process left that was killed after it had finished the output."""
        left = [_lock_file(self.path, is_folder=self._is_folder)]
        if not self._is_folder:
            left.append(parts_folder(self.path))
        if any(each.exists() for each in left):
            with suppress(InputError), exclusive_lock(self.path, is_folder=self._is_folder):
                for folder in left[1:]:  # the end of the lock removes its own file
                    shutil.rmtree(folder, ignore_errors=True)

    def _compare(self, record: dict[str, Any] | None) -> None:
        """Read the state of an existing output; raise an InputError if its request differs."""
        if record is None:
            raise InputError(
                f"{self.path} exists and was not made by megabase; choose another path, or "
                "replace it with --overwrite"
            )
        if change := difference(record["request"], self._request):
            raise InputError(
                f"{self.path} was made by another request ({change}); choose another path, "
                "or replace it with --overwrite"
            )
        self.is_finished = bool(record["finished"])
        self.unfinished = None if self.is_finished else record["results"]

    def start(self, **results: Any) -> None:
        """Create the folder, and record in it that the work is not finished.

        Files that an earlier, different request left in it are removed.

        Parameters
        ----------
        results
            Values for the record, available as `unfinished` when the request resumes.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self.unfinished is None:
            for name in (read_record(self._record) or {"files": []})["files"]:
                file = self.path / name
                file.unlink(missing_ok=True)
                within = file.parent
                if within != self.path and within.is_dir() and not any(within.iterdir()):
                    within.rmdir()
        self._write_record(finished=False, results=results, files=[])

    def finish(self, *, folders: Sequence[str] = (), **results: Any) -> None:
        """Record that the output is complete, and which files it has.

        Parameters
        ----------
        folders
            Names of subfolders whose files belong to the output; they may be absent.
        results
            Values for the record.
        """
        inside = [self.path / name for name in folders if (self.path / name).is_dir()]
        places = [self.path, *inside] if self._is_folder else []
        files = sorted(
            file.relative_to(self.path).as_posix()
            for place in places
            for file in place.iterdir()
            if file.is_file() and file.name != RECORD and not re.fullmatch(_PARTS, file.name)
        )
        self._write_record(finished=True, results=results, files=files)

    def _write_record(
        self, *, finished: bool, results: Mapping[str, Any], files: list[str]
    ) -> None:
        with atomic_file(self._record) as file:
            file.write(self._record_text(finished=finished, results=results, files=files))

    def _record_text(self, *, finished: bool, results: Mapping[str, Any], files: list[str]) -> str:
        record = {
            "request": self._request, "finished": finished, "files": files, **stamp(),
            "results": results,
        }  # fmt: skip
        return json.dumps(record, indent=2) + "\n"

    @contextmanager
    def write(self, **results: Any) -> Generator[IO[str]]:
        """Open a temporary file for UTF-8 text that becomes the output once complete.

        Parameters
        ----------
        results
            Values for the record.
        """
        with (
            self.write_at(**results) as path,
            path.open("w", encoding="utf-8", newline="\n") as file,
        ):
            yield file

    @contextmanager
    def write_at(self, *companions: str, **results: Any) -> Generator[Path]:
        """Yield a temporary path whose file becomes the output once it is complete.

        The path has the suffix of the output, for writers that depend on it.

        Parameters
        ----------
        companions
            Suffixes of files next to the temporary path that are renamed together with it.
        results
            Values for the record.
        """
        record = f"{_JOINT}{RECORD}"
        with atomic_path(self.path, *companions, record, suffix=self.path.suffix) as part:
            yield part
            text = self._record_text(finished=True, results=results, files=[])
            Path(f"{part}{record}").write_text(text, encoding="utf-8")


def check_place(path: Path, *, is_folder: bool) -> None:
    """Raise an InputError if an output cannot be written to a path, before any work is done.

    Parameters
    ----------
    path
        The path of the output.
    is_folder
        Whether the output is a folder, not a file.
    """
    if path.exists() and path.is_dir() != is_folder:
        expected, found = ("folder", "file") if is_folder else ("file", "folder")
        raise InputError(f"{path} is a {found}, and the output is a {expected}")
    above = next(place for place in path.absolute().parents if place.exists())
    if not above.is_dir():
        raise InputError(f"{path} cannot be written: {above} is not a folder")


def check_no_input(output: Path, inputs: Iterable[Path]) -> None:
    """Raise an InputError if an output is also an input of the command."""
    for read in inputs:
        if output.exists() and read.exists() and output.samefile(read):
            raise InputError(f"{output} is an input of this command; choose another output")


def record_of(model: str) -> dict[str, Any] | None:
    """Read the record of a model folder; None for a hub id or a weights file."""
    place = Path(model_place(model))
    return read_record(place) if place.is_dir() else None


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a record file, or the record of a folder; None if it is absent or invalid."""
    place = path / RECORD if path.is_dir() else path
    if not place.is_file():
        return None
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return None
    is_ours = (
        isinstance(record, dict)
        and all(isinstance(record.get(key), dict) for key in ("request", "results"))
        and isinstance(record.get("files"), list)
        and "finished" in record
    )
    return record if is_ours else None


@contextmanager
def atomic_file(path: Path) -> Generator[IO[str]]:
    """Open a temporary file for UTF-8 text next to `path`, and rename it to `path` at the end."""
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as file:
        yield file


@contextmanager
def atomic_path(path: Path, *companions: str, suffix: str = "") -> Generator[Path]:
    """Yield a temporary path next to `path`; the file written there is renamed to `path`.

    Files at the temporary path plus one of the suffixes `companions` are renamed as well. An
    older `path` is removed first, so that it never coexists with companions of other content.

    Parameters
    ----------
    path
        The final path.
    companions
        Suffixes of further files that must be written.
    suffix
        Suffix of the temporary path, for writers that depend on it.

    Raises
    ------
    WorkError
        If the disk is full, or a quota or limit is reached; all temporary files are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _temporary(path, suffix)
    written = {Path(f"{part}{each}"): f"{path}{each}" for each in (*companions, "")}
    try:
        with _full_disk_error(path):
            yield part
            for file in written:
                _sync(file)  # all must be on disk before the first is renamed
        if companions:
            path.unlink(missing_ok=True)
        for file, name in written.items():
            file.replace(name)
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Yield a temporary folder next to `path`, and rename it to `path` at the end.

    An older `path` is removed first.

    Raises
    ------
    WorkError
        If the disk is full, or a quota or limit is reached; the temporary folder is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _temporary(path)
    part.mkdir()
    try:
        with _full_disk_error(path):
            yield part
            for file in filter(Path.is_file, part.rglob("*")):
                _sync(file)
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _temporary(path: Path, suffix: str = "") -> Path:
    """Return a new hidden path next to `path`, which `clear_temporary` removes if it is left."""
    return path.with_name(f".{path.name}.{uuid4().hex[:12]}.part{suffix}")


@contextmanager
def _full_disk_error(output: Path) -> Generator[None]:
    """Turn the error of a full disk into a WorkError that names the output."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL_DISK:
            raise
        raise WorkError(
            f"{output} could not be written: {os.strerror(error.errno)}; free some space, or "
            "choose another disk"
        ) from error


def _sync(file: Path) -> None:
    """Flush a file to disk; some systems report a full disk only then."""
    with file.open("r+b") as opened:
        try:
            os.fsync(opened.fileno())
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise


@contextmanager
def atomic_files(folder: Path) -> Generator[Path]:
    """Yield a temporary folder whose files are moved into `folder` at the end.

    Its subfolders are created in `folder` as well.

    Raises
    ------
    WorkError
        If the disk is full, or a quota or limit is reached; the temporary files are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left_by_a_kill in folder.glob(".*.parts"):
        shutil.rmtree(left_by_a_kill)
    part = folder / f".{uuid4().hex[:12]}.parts"
    part.mkdir()
    try:
        with _full_disk_error(folder):
            yield part
            files = [file for file in part.rglob("*") if file.is_file()]
            for file in files:
                _sync(file)
        mode = 0o666 & ~_umask()  # some writers create files readable by their owner only
        for file in files:
            file.chmod(mode)
            place = folder / file.relative_to(part)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
    finally:
        shutil.rmtree(part)


def parts_folder(output: Path) -> Path:
    """Return the hidden folder next to an output that holds its finished parts."""
    return output.with_name(f".{output.name}.parts")


@contextmanager
def exclusive_lock(output: Path, *, is_folder: bool = True) -> Generator[None]:
    """Lock an output against other processes; without effect on file systems without locks.

    The system releases the lock when the process ends, even if it is killed. The lock file lies
    in the folder, or next to the file as ``.NAME.lock``, and is removed at the end. Temporary
    files of an earlier killed process are removed at the start.

    Parameters
    ----------
    output
        The folder or file.
    is_folder
        Whether the output is a folder, not a file.

    Raises
    ------
    InputError
        If another process is writing the output.
    """
    folder = output if is_folder else output.parent
    folder.mkdir(parents=True, exist_ok=True)
    file = _lock_file(output, is_folder=is_folder)
    lock = FileLock(file, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(f"another process is writing {output}; wait for it, or end it") from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        _log.info("%s cannot be locked (%s): start only one process", output, error)
    try:
        clear_temporary(folder, r".*" if is_folder else re.escape(output.name))
        yield
    finally:
        with suppress(OSError):  # the folder was removed, or the system keeps open files
            file.unlink()
        lock.release()


def _lock_file(output: Path, *, is_folder: bool) -> Path:
    """Return the path of the lock of an output."""
    return output / _LOCK if is_folder else output.parent / f".{output.name}.lock"


def clear_temporary(folder: Path, name: str = r".*") -> None:
    """Remove what a killed process left: temporary files and folders in a folder of ours alone.

    Parameters
    ----------
    folder
        The folder; its subfolders are not searched.
    name
        Pattern of the names of the outputs whose temporary files are removed.
    """
    # a writer of a temporary file may have had one of its own, whose name begins with two dots
    left = re.compile(rf"\.+{name}{_LEFT_BY_A_KILL}", re.DOTALL)
    for place in [each for each in folder.iterdir() if left.fullmatch(each.name)]:
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()


def _umask() -> int:
    """Return the file mode mask of the process, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _holds_something(path: Path) -> bool:
    if not path.is_dir():
        return path.exists()
    return not all(re.fullmatch(_PARTS, place.name) for place in path.iterdir())


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Describe the first key in which two requests differ, with both values; empty if equal.

    Examples
    --------
    >>> difference({"a": 1, "of": {"b": 2}}, {"a": 1, "of": {"b": 3}})
    'of.b was 2, is 3'
    >>> difference({"genome": "4910cd8c" * 8}, {"genome": None})
    'genome was of SHA-256 4910cd8c…, is not given now'
    """
    old, new = _flat(old), _flat(new)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            now = " now" if new.get(key) is None else ""
            return f"{key} was {_in_words(old.get(key))}, is {_in_words(new.get(key))}{now}"
    return ""


def _in_words(value: object) -> str:
    """Return a value of a request as text for a message."""
    if value is None:
        return "not given"
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return f"of SHA-256 {value[:8]}…"
    return repr(value)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
