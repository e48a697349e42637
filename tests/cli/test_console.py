"""Rows are a table in a terminal, and the same lines as ever for a program."""

import sys

from megabase.cli.console import show_rows
from tests.cli.command import run

ROWS = [("a", "1.5", "  (short)"), ("longer", "10", "[bold]" + " word" * 30)]


def become_a_terminal(monkeypatch):
    """Let the captured standard output, which pytest replaces before a test, have 60 columns."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")


def test_a_program_reads_a_line_for_each_row(capsys):
    show_rows(ROWS, "{:<8}{:>4}{}")
    assert capsys.readouterr().out.splitlines() == [
        "a        1.5  (short)",
        "longer    10[bold]" + " word" * 30,
    ]


def test_a_terminal_shows_aligned_columns_and_all_words(capsys, monkeypatch):
    become_a_terminal(monkeypatch)
    show_rows(ROWS, "{:<8}{:>4}{}")
    first, *others = capsys.readouterr().out.splitlines()
    assert first.split() == ["a", "1.5", "(short)"]
    assert first.index("1.5") + 3 == others[0].index("10") + 2
    assert first.index("(short)") == others[0].index("[bold]")
    assert " ".join(others).count("word") == 30
    assert max(map(len, [first, *others])) <= 60


def test_the_list_of_tasks_has_no_tabs_in_a_terminal(capsys, monkeypatch):
    become_a_terminal(monkeypatch)
    lines = run(capsys, "evaluate", "list", "gue/tf").out.splitlines()
    assert [line.split()[:3] for line in lines if "gue" in line] == [
        [f"gue/tf/{n}", "binary", "mcc"] for n in range(5)
    ]
    assert "\t" not in "".join(lines)
