"""Standard input, standard output, pipes and URLs in place of the files of a verb.

Readers and writers need files: they recognise a format, build an index, and rename an output when
it is complete. A stream is therefore copied to a temporary file first, or from one at the end.
"""

import io
import logging
import shutil
import signal
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import wraps
from pathlib import Path
from string import Formatter
from types import FrameType
from typing import Any, ParamSpec

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from megabase.errors import InputError, WorkError, counted
from megabase.runtime.location import refuse_url
from megabase.runtime.log import start_logging

P = ParamSpec("P")

STREAM = "-"
"""The path that means standard input (as an input) or standard output (as an output)."""

_STDIN = (STREAM, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_STDOUT = (STREAM, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_ENDED_BY = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_N_RECOGNIZED = 1 << 16  # bytes read to recognise a format
_GZIP = b"\x1f\x8b"
_MAGIC = {
    b"\x43\x27\x41\x1a": ".2bit", b"\x1a\x41\x27\x43": ".2bit", b"PAR1": ".parquet",
    b"BCF": ".bcf", b"##fileformat=VCF": ".vcf", b"#CHROM\t": ".vcf", b">": ".fa", b"@": ".fastq",
}  # fmt: skip
_BINARY = (".2bit", ".parquet", ".bcf")
_REPEATED = "the command reads it again when it resumes after an interruption"
_WHY_NO_INPUT = {
    "model": "a model is a folder, a weights file or a hub id",
    "source": "a model is a folder, a weights file or a hub id",
    "genome": _REPEATED,
    "regions": _REPEATED,
    "remember": _REPEATED,
    "index": "an index is mapped into memory",
    "chrom_map": "contig names are read from a file",
    "rename_contigs": "contig names are read from a file",
    "config": "a configuration is read from a file",
    "data": "the data of a task is a folder",
    "train": _REPEATED,
    "validation": _REPEATED,
    "test": _REPEATED,
    "labels": _REPEATED,
    "parts": "each shard is identified by the record file next to it",
}
"""Parameters that name an input, with the reason given where a verb refuses ``-`` for one."""

_WHY_NO_OUTPUT = {"figures": "figures are written into a folder"}
_FOLDER = "the output is a folder"
_OPTIONS = {"source": "--input", "parts": "a part"}

_log = logging.getLogger(__name__)


def with_streams(
    *,
    reads: tuple[str, ...] = (),
    writes: str | Callable[[Mapping[str, Any]], str] = "",
    why_no_output: str = _FOLDER,
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that lets a verb accept ``-`` and pipes, and refuses URLs.

    An input stream is copied to a temporary file whose suffix follows from the format of the
    content. An output stream is written to a temporary file, which is copied when it is complete;
    nothing else is printed to standard output in that case. Temporary files are removed at the
    end, also after an error, an interrupt or a termination signal.

    Parameters
    ----------
    reads
        Names of the parameters that accept a stream.
    writes
        Suffix of the format in which `output` is written to a stream, or a function of all
        parameters that returns it; empty: `output` must be a file or folder.
    why_no_output
        The reason given if `output` is ``-`` although `writes` is empty.
    """

    def decorate(verb: Callable[P, None]) -> Callable[P, None]:
        @wraps(verb)
        def run(*args: P.args, **options: P.kwargs) -> None:
            _check(options, reads, writes=bool(writes), why_no_output=why_no_output)
            given: dict[str, Any] = dict(options)
            inputs = [name for name in reads if _is_stream(given.get(name), _STDIN)]
            to_stream = bool(writes) and _is_stream(given.get("output"), _STDOUT)
            if not inputs and not to_stream:
                verb(*args, **options)
                return
            start_logging(quiet=bool(given.get("quiet")), verbose=bool(given.get("verbose")))
            with _temporary_folder() as folder:
                called: dict[str, str] = {}
                for name in inputs:
                    path = _spool(str(given[name]), folder / name)
                    called[str(path)] = _name_of(str(given[name]), _STDIN, "standard input")
                    given[name] = type(given[name])(path)
                output = given.get("output")
                if to_stream:
                    suffix = writes(given) if callable(writes) else writes
                    named = Path(str(output)).suffix  # the suffix of a named pipe
                    given["output"] = folder / f"output{named or suffix}"
                    called[str(given["output"])] = _name_of(str(output), _STDOUT, "standard output")
                with _names(called):
                    _run(verb, given, str(output) if to_stream else None)

        return run

    return decorate


def _run(verb: Callable[..., None], options: Mapping[str, Any], stream: str | None) -> None:
    if stream is None:
        verb(**options)
        return
    with redirect_stdout(io.StringIO()):  # only the output is printed there
        verb(**options)
    _copy_out(options["output"], stream)


def _check(
    options: Mapping[str, Any], reads: tuple[str, ...], *, writes: bool, why_no_output: str
) -> None:
    """Raise an InputError for a URL, or for a stream where the verb needs a file or folder."""
    for name, value in _texts(options):
        refuse_url(value, is_output=name in ("output", *_WHY_NO_OUTPUT))
        refused = {} if writes else {"output": why_no_output}
        why_not = (_WHY_NO_OUTPUT | refused | _WHY_NO_INPUT).get(name)
        if value == STREAM and why_not and name not in reads:
            option = _option(name)
            raise InputError(f"{option} cannot be '-': {why_not}; give a path")
    several = [name for name in reads if str(options.get(name)) in _STDIN]
    if len(several) > 1:
        names = " and ".join(map(_option, several))
        raise InputError(f"{names} cannot both be standard input; give a path for one of them")


def _texts(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each option that is a string or a path, or a list of them."""
    for name, value in options.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, str | Path):
                yield name, str(each)


def _option(name: str) -> str:
    return _OPTIONS.get(name, f"--{name.replace('_', '-')}")


def _is_stream(value: str | Path | None, standard: tuple[str, ...]) -> bool:
    """Return whether a path is a standard stream, a pipe or a device, as is ``<(command)``."""
    if value is None or str(value) in standard:
        return value is not None
    try:
        mode = Path(value).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _name_of(place: str, standard: tuple[str, ...], name: str) -> str:
    return name if place in standard else place


def _spool(place: str, target: Path) -> Path:
    """Copy a stream to a file with the suffix of its format, and return the path."""
    name = _name_of(place, _STDIN, "standard input")
    with target.open("wb") as file:
        if place not in _STDIN:
            with Path(place).open("rb") as stream:
                shutil.copyfileobj(stream, file, 1 << 20)
        elif sys.stdin is None:
            raise InputError("standard input is closed; give the path of a file")
        else:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    n_bytes = target.stat().st_size
    if not n_bytes:
        raise InputError(f"{name} is empty; check that the command before the pipe writes output")
    suffix = _suffix_of(target)
    path = target.with_name(f"{target.name}{suffix}")
    target.rename(path)
    _log.info("%s: %s, read as %s", name, counted(n_bytes, "byte"), suffix)
    return path


def _suffix_of(path: Path) -> str:
    """Return the suffix for the content of a file, with .gz if it is compressed."""
    with path.open("rb") as file:
        head = file.read(_N_RECOGNIZED)
    is_packed = head.startswith(_GZIP)
    if is_packed:
        try:
            head = zlib.decompressobj(wbits=31).decompress(head)
        except zlib.error:  # the reader will report the damage
            head = b""
    suffix = _suffix_of_content(head.removeprefix(b"\xef\xbb\xbf").lstrip())
    return f"{suffix}.gz" if is_packed and suffix not in _BINARY else suffix


def _suffix_of_content(head: bytes) -> str:
    for magic, suffix in _MAGIC.items():
        if head.startswith(magic):
            return suffix
    lines = [line for line in head.splitlines() if line.strip() and not line.startswith(b"#")]
    line = next((line for line in lines if line.split()[0] not in (b"track", b"browser")), b"")
    fields = line.split(b"\t") if b"\t" in line else line.split()
    if len(fields) > 2 and all(field.strip().isdigit() for field in fields[1:3]):
        return ".bed"
    return ".csv" if b"," in line and b"\t" not in line else ".tsv"


@contextmanager
def _temporary_folder() -> Generator[Path]:
    """Create a temporary folder, and remove it at the end, also on a termination signal."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = [(each, signal.getsignal(each)) for each in _ENDED_BY]
    for each, handler in before:
        if handler == signal.SIG_DFL:  # keep signals that are ignored (nohup) or handled already
            signal.signal(each, end)
    try:
        with tempfile.TemporaryDirectory(prefix="megabase-") as folder:
            yield Path(folder)
    finally:
        for each, handler in before:
            if handler == signal.SIG_DFL:
                signal.signal(each, handler)


@contextmanager
def _names(called: Mapping[str, str]) -> Generator[None]:
    """Replace the paths of temporary files in error messages by the names of the streams."""
    try:
        yield
    except (InputError, WorkError) as error:
        message = str(error)
        for path, name in called.items():
            message = message.replace(path, name)
        raise type(error)(message) from error


def _copy_out(path: Path, place: str) -> None:
    """Copy a complete file to standard output or to a pipe."""
    with path.open("rb") as file:
        if place not in _STDOUT:
            with Path(place).open("wb") as stream:
                shutil.copyfileobj(file, stream, 1 << 20)
            return
        if sys.stdout is None:
            raise WorkError("standard output is closed; nothing was written")
        try:
            shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
        except OSError:  # closed pipe or full disk; prevents another flush at exit
            sys.stdout = io.StringIO()
            raise


def show_rows(rows: Sequence[Sequence[str]], line: str) -> None:
    """Write rows: in a terminal as a table that fits its width, otherwise one line for each row.

    Parameters
    ----------
    rows
        The cells of each row, equally many in all.
    line
        Format of a line, with a field for each cell, such as ``{:<20}{:>8}``. A column with ``>``
        is aligned right in the table, too.
    """
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo(line.format(*row))
        return
    table = Table(box=box.SIMPLE, show_header=False, show_edge=False, pad_edge=False)
    for _, field, spec, _ in Formatter().parse(line):
        if field is not None:
            is_right = (spec or "").startswith(">")
            table.add_column(justify="right" if is_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.strip()) for cell in row))
    Console().print(table)
