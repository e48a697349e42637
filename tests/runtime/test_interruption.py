"""SIGTERM and SIGINT end work at a place that is saved, with one line."""

import os
import signal
import threading
from pathlib import Path

import pytest

from megabase.cli.main import plain_errors
from megabase.runtime.interruption import (
    Interrupted,
    deferred,
    interruptible,
    raise_interrupted,
    stop_requested,
)

OUTPUT = Path("out")


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_command_with_one_line_that_describes_how_to_continue(
    capsys, number, code
):
    with pytest.raises(SystemExit) as ended, plain_errors(), interruptible(OUTPUT):
        send(number)
    assert ended.value.code == code
    assert capsys.readouterr().err == (
        f"megabase: error: interrupted by {number.name}; progress is saved in out, and the same "
        "command resumes from there\n"
    )


def test_what_is_deferred_is_done_first_and_a_second_signal_does_not_wait():
    done = []

    def work(n_signals):
        with interruptible(OUTPUT), deferred():
            for _ in range(n_signals):
                send()
            assert stop_requested()
            done.append(n_signals)

    for n_signals in (1, 2):
        with pytest.raises(Interrupted):
            work(n_signals)
    assert done == [1]


def test_processes_that_stop_together_only_note_signals(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with interruptible(OUTPUT):
        with deferred():
            send()
            send()
        assert stop_requested()
        with pytest.raises(Interrupted):
            raise_interrupted()


def test_no_earlier_signal_counts():
    with pytest.raises(Interrupted), interruptible(OUTPUT), deferred():
        send()
    with interruptible(OUTPUT), deferred():
        assert not stop_requested()
    assert not stop_requested()


def test_handlers_are_as_they_were_and_an_inner_block_changes_nothing():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(OUTPUT):
        own = signal.getsignal(signal.SIGTERM)
        with interruptible(Path("inner")):
            assert signal.getsignal(signal.SIGTERM) is own
        with pytest.raises(Interrupted, match="saved in out,"):
            send()
    assert signal.getsignal(signal.SIGTERM) == before != own


def test_what_was_to_be_ignored_stays_ignored():
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible(OUTPUT):
            send(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_outside_the_main_thread_nothing_is_changed():
    found = []

    def work():
        with interruptible(OUTPUT), deferred():
            found.append((signal.getsignal(signal.SIGTERM), stop_requested()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(signal.getsignal(signal.SIGTERM), False)]
