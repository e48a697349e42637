"""Log lines and progress on standard error, for a terminal or a file."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from megabase.errors import counted

_SECONDS_BETWEEN_LINES = 15.0

_log = logging.getLogger(__name__)
_console = Console(stderr=True)


def start_logging(*, quiet: bool, verbose: bool = False) -> None:
    """Send the log lines of megabase to standard error.

    Parameters
    ----------
    quiet
        Whether to show warnings only.
    verbose
        Whether to show technical details, such as the engine of the network.
    """
    logger = logging.getLogger("megabase")
    if _console.is_terminal:
        handler: logging.Handler = RichHandler(
            console=_console, show_path=False, show_level=False, log_time_format="[%X]"
        )
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger.handlers[:] = [handler]
    usual = logging.DEBUG if verbose else logging.INFO
    logger.setLevel(logging.WARNING if quiet else usual)


class Meter:
    """Show the progress of work: a bar in a terminal, otherwise a log line every 15 s."""

    def __init__(self, total: int, unit: str, bar: Progress | None) -> None:
        self._total = total
        self._unit = unit
        self._bar = bar
        self._task = None if bar is None else bar.add_task("", total=total, note="")
        self._done = self._skipped = 0
        self._started = self._said = time.monotonic()

    def skip(self, n: int) -> None:
        """Count `n` more units as done by an earlier run; they do not affect the time estimate."""
        self._skipped += n
        self._done += n

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more units as done, and show a note next to the count."""
        self._done += n
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, note=note)
        elif time.monotonic() - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            _log.info("%s", "; ".join(filter(None, (self._text(), note))))

    def _text(self) -> str:
        done = self._done - self._skipped
        left = (time.monotonic() - self._started) * (self._total - self._done) / max(done, 1)
        return f"{self._done:,} of {_of_units(self._total, self._unit)}, {left:.0f} s left"


def _of_units(n: int, units: str) -> str:
    return counted(n, units.removesuffix("s"), units)


@contextmanager
def progress(total: int, what: str, unit: str) -> Generator[Meter]:
    """Show the progress of work, unless log lines are off.

    Parameters
    ----------
    total
        Number of units.
    what
        The work in a word or two.
    unit
        The unit in the plural.
    """
    _log.info("%s: %s", what, _of_units(total, unit))
    if not (_console.is_terminal and _log.isEnabledFor(logging.INFO)):
        yield Meter(total, unit, None)
        return
    columns = (
        TextColumn(f"{what} {{task.completed:,.0f}}/{{task.total:,.0f}} {unit}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=_console, transient=True) as bar:
        yield Meter(total, unit, bar)
