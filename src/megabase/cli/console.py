"""Rows of text on standard output, for a terminal or a program."""

import sys
from collections.abc import Sequence
from string import Formatter

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


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
