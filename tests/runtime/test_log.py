"""Progress is a line now and then where there is no terminal, and nothing if quiet."""

import pytest

from megabase.runtime import log


@pytest.fixture(autouse=True)
def _restore():
    yield
    log.logging.getLogger("megabase").handlers.clear()
    log.logging.getLogger("megabase").setLevel(log.logging.NOTSET)


@pytest.mark.parametrize("quiet", [False, True])
def test_lines_go_to_standard_error_unless_quiet(capsys, monkeypatch, quiet):
    monkeypatch.setattr(log, "_SECONDS_BETWEEN_LINES", 0.0)
    log.start_logging(quiet=quiet)
    with log.progress(3, "working", "steps") as meter:
        meter.advance(2, note="half way")
    out, err = capsys.readouterr()
    assert out == ""
    assert ("working: 3 steps" in err) is not quiet
    assert ("2 of 3 steps" in err and "s left; half way" in err) is not quiet


def test_a_line_without_a_note_ends_without_punctuation(capsys, monkeypatch):
    monkeypatch.setattr(log, "_SECONDS_BETWEEN_LINES", 0.0)
    log.start_logging(quiet=False)
    with log.progress(1, "working", "steps") as meter:
        meter.advance()
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(" working: 1 step")
    assert second.endswith(" 1 of 1 step, 0 s left")


@pytest.mark.parametrize("verbose", [False, True])
def test_details_are_shown_when_verbose(capsys, verbose):
    log.start_logging(quiet=False, verbose=verbose)
    log.logging.getLogger("megabase.model").debug("the engine is plain")
    assert ("the engine is plain" in capsys.readouterr().err) is verbose
