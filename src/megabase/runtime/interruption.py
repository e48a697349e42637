"""Stop on SIGTERM and SIGINT at a saved point, from which the same command resumes."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Report that a signal stopped the work and that progress is saved.

    Like `KeyboardInterrupt` it is not an `Exception`, so that no handler of failures catches it.

    Parameters
    ----------
    number
        The signal number.
    output
        The folder that holds the saved progress.
    """

    def __init__(self, number: int, output: Path) -> None:
        super().__init__(
            f"interrupted by {signal.Signals(number).name}; progress is saved in {output}, and "
            "the same command resumes from there"
        )
        self.exit_code = 128 + number
        """The exit code that shells report for a process ended by the signal."""


class _Received:
    """The state of signal handling; a process has one set of handlers, hence one instance."""

    def __init__(self) -> None:
        self.output: Path | None = None  # None: our handlers are not installed
        self.number: int | None = None
        self.is_deferred = False


_received = _Received()


@contextmanager
def interruptible(output: Path) -> Generator[None]:
    """Raise `Interrupted` on SIGTERM or SIGINT, at once or at the end of a `deferred` block.

    A signal that the process already ignores stays ignored. A nested block has no effect, nor
    does one outside the main thread, where Python cannot set handlers.

    Parameters
    ----------
    output
        The folder that holds the saved progress.
    """
    if _received.output is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [each for each in _SIGNALS if signal.getsignal(each) != signal.SIG_IGN]
    earlier = {number: signal.signal(number, _receive) for number in taken}
    _received.output, _received.number = output, None
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _received.output = None


@contextmanager
def deferred() -> Generator[None]:
    """Delay the first signal until the end of the block; raise on a second one at once.

    With several processes, which must stop together, signals are only recorded: the processes
    agree among themselves when to stop.
    """
    _received.is_deferred, _received.number = True, None
    try:
        yield
    finally:
        _received.is_deferred = False
    if _received.number is not None and not _is_one_of_several():
        raise_interrupted()


def stop_requested() -> bool:
    """Return whether a signal was recorded in the current or last `deferred` block."""
    return _received.output is not None and _received.number is not None


def raise_interrupted() -> None:
    """Raise `Interrupted` for the recorded signal, or SIGTERM if another process received it."""
    number = signal.SIGTERM if _received.number is None else _received.number
    raise Interrupted(number, _received.output or Path())


def ignore_signals(_: int = 0) -> None:
    """Ignore signals in a data loading process; it ends with the training process."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _receive(number: int, _: FrameType | None) -> None:
    is_first = _received.number is None
    if _received.is_deferred and (is_first or _is_one_of_several()):
        _received.number = number
        return
    _received.number = number
    raise_interrupted()


def _is_one_of_several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
