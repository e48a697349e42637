"""SIGTERM and SIGINT: work stops at a place that is saved, and the same command goes on with it."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal stopped work that is saved.

    It is no `Exception`, as `KeyboardInterrupt` is none, so that nothing on the way takes it for
    a failure of its own.

    Parameters
    ----------
    number
        The signal.
    output
        The folder that keeps what was done.
    """

    def __init__(self, number: int, output: Path) -> None:
        super().__init__(
            f"stopped by {signal.Signals(number).name}; what was done is saved in {output}, and "
            "the same command goes on from there"
        )
        self.exit_code = 128 + number
        """What shells report of a process that ends by the signal."""


class _Received:
    """The signals of this process; there is one set of handlers, so there is one of these."""

    def __init__(self) -> None:
        self.output: Path | None = None  # None: the handlers are not ours
        self.number: int | None = None
        self.is_deferred = False


_received = _Received()


@contextmanager
def interruptible(output: Path) -> Generator[None]:
    """Raise `Interrupted` on SIGTERM or SIGINT, at once or after what `deferred` protects.

    A signal that the process was started to ignore stays ignored. Within another such block, or
    outside the main thread, where Python sets no handlers, nothing changes.

    Parameters
    ----------
    output
        The folder that keeps what was done.
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
    """Only note the first signal within the block, and raise it at the end; a second one at once.

    Among several processes, which must stop together, any signal is only noted, and none is
    raised here: they agree on it by themselves.
    """
    _received.is_deferred, _received.number = True, None
    try:
        yield
    finally:
        _received.is_deferred = False
    if _received.number is not None and not _is_one_of_several():
        raise_interrupted()


def stop_is_asked() -> bool:
    """Return whether a signal was noted in the present or last `deferred` block."""
    return _received.output is not None and _received.number is not None


def raise_interrupted() -> None:
    """Raise `Interrupted` by the signal that was noted; by SIGTERM where another process got it."""
    number = signal.SIGTERM if _received.number is None else _received.number
    raise Interrupted(number, _received.output or Path())


def ignore_signals(_: int = 0) -> None:
    """Leave signals to the process that trains: a reader beside it ends when that one does."""
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
