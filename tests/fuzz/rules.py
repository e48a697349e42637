"""The rule for every command: exit 0 with every record accounted for, or 1 or 2 with one line."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import server
from tests.fuzz.cases import Case

_LOG_LINE = re.compile(r"\d\d:\d\d:\d\d ")
_ERROR = "megabase: error: "
_ONLY_N = "holds no base but N"  # a region of a well-formed genome may hold only N
_FRAME = re.compile(r'File "([^"]+)", line \d+, in (\S+)')
_OF_LIBRARY = re.compile(r"\[[EW]::|Warning|Error|Exception|panicked")
_MARK = "PWNED"
_LONGEST_LINE = 1200
_INDEXES = (".fai", ".gzi", ".csi", ".tbi")


@dataclass(frozen=True)
class Verdict:
    """How a command ended, and how it violated the rule."""

    code: int
    seconds: float
    violations: tuple[str, ...]
    message: str = ""


def written(case: Case, folder: Path) -> Path:
    """Write the files of a case into an empty folder."""
    server.empty(folder)
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def try_case(case: Case, folder: Path) -> Verdict:
    """Write the files of a case into an empty folder, run it there, and check the result."""
    outcome = server.run(case.arguments, written(case, folder))
    found = list(broken(case, folder, outcome))
    return Verdict(outcome.code, outcome.seconds, tuple(found), outcome.err[-3000:])


def broken(case: Case, folder: Path, outcome: server.Outcome) -> Iterator[str]:
    """Yield each violation of the rule by a command."""
    if (folder / _MARK).exists():
        yield "code of a file was executed"
    for name, data in case.files.items():
        if not (folder / name).is_file() or (folder / name).read_bytes() != data:
            yield f"an input was changed: {name}"
    if outcome.is_late:
        yield f"hang: no end after {server.LIMIT_S:.0f} s"
    elif outcome.code < 0:
        yield f"ended by signal {-outcome.code}"
    elif "Traceback (most recent call last)" in outcome.err:
        yield f"traceback: {_signature(outcome.err)}"
    elif outcome.code:
        yield from _failed(case, folder, outcome)
    else:
        yield from _succeeded(case, folder, outcome)


def _signature(err):
    """Return the last frame in megabase and the type of the exception."""
    frames = [(path, name) for path, name in _FRAME.findall(err) if "/megabase/" in path]
    path, name = frames[-1] if frames else ("?", "?")
    last = next(
        (
            line
            for line in reversed(err.splitlines())
            if re.match(r"[\w.]+(Error|Exception|Exit|Interrupt|Panic\w*|Warning)?\b(:|$)", line)
        ),
        "?",
    )
    return f"{path.rpartition('/megabase/')[2]}:{name} {last.partition(':')[0]}"


def _stray(outcome):
    """Return the lines of standard error that are neither log lines nor the error line."""
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    return [line for line in lines if not _LOG_LINE.match(line) and not line.startswith(_ERROR)]


def _failed(case, folder, outcome):
    lines = [line for line in outcome.err.splitlines() if line.startswith(_ERROR)]
    if outcome.code not in (1, 2):
        yield f"exit code {outcome.code}"
    if len(lines) != 1:
        yield f"{len(lines)} error lines"
    elif lines and not lines[0].removeprefix(_ERROR).strip(" ;,:."):
        yield "an empty error line"
    if stray := _stray(outcome):
        yield f"stray words on standard error: {_shape(stray[0])}"
    yield from _unclear(lines)
    if case.must_succeed and not any(_ONLY_N in line for line in lines):
        yield f"a well-formed input was refused: {_shape(lines[0] if lines else '')}"
    yield from _left_behind(case, folder, outcome)


def _unclear(lines):
    for line in lines:
        if not line.isprintable():
            yield "control characters in the error line"
        if len(line) > _LONGEST_LINE:
            yield f"an error line of over {_LONGEST_LINE} characters: {_shape(line)}"


def _left_behind(case, folder, outcome):
    own = {Path(name).parts[0] for name in case.files}
    for path in sorted(folder.iterdir()):
        if path.name in own or path.name.startswith(".") or path.suffix in _INDEXES:
            continue
        if path.is_dir() and outcome.code == 1 and not (path / "config.json").exists():
            continue  # a failed job keeps its finished work in its folder
        yield f"left behind after exit code {outcome.code}: {path.name}"


def _succeeded(case, folder, outcome):
    stray = [line for line in _stray(outcome) if _OF_LIBRARY.search(line)]
    if stray or _ERROR in outcome.err:
        yield f"stray words on standard error: {_shape((stray or ['an error line'])[0])}"
    if case.output and not (folder / case.output).exists():
        yield "exit code 0 and no output"
        return
    for path in folder.rglob(".*.part*"):
        if ".cache" not in path.parts:
            yield f"a hidden part was left: {re.sub('[0-9a-f]{12}', '*', path.name)}"
    try:
        yield from (f"{_shape(each)}" for each in case.account(case, folder))
    except Exception as error:  # noqa: BLE001 an unreadable output is a finding
        yield f"the output cannot be accounted for: {type(error).__name__} {_shape(str(error))}"


def _shape(text):
    """Return a message without names and numbers, so that violations of one kind are equal."""
    short = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", text)
    return re.sub(r"[-+]?\d[\d,.]*(e[-+]?\d+)?", "#", short)[:160]


def keep(case: Case, verdict: Verdict, folder: Path, label: str) -> None:
    """Keep the files of a case with its command, to rerun it by hand."""
    written(case, folder)
    (folder / "COMMAND").write_text(f"megabase {shlex.join(case.arguments)}\n")
    lines = [
        label,
        f"changes: {case.changes}",
        f"exit code {verdict.code}",
        *verdict.violations,
        verdict.message,
    ]
    (folder / "REPORT").write_text("\n".join(lines) + "\n")
