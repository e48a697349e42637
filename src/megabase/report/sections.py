"""A report as sections: written as markdown, and as a page with its figures inside."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from megabase.report.page import html_page, picture
from megabase.report.table import Table


class Section(NamedTuple):
    """A title, lines of text, a table if it has rows, and a figure if there is one.

    Attributes
    ----------
    title, lines, table
        What is read, in this order; the figure stands between lines and table.
    figure
        The name of a PNG file that lies beside the text.
    """

    title: str
    lines: list[str]
    table: Table
    figure: str | None = None


def sections_text(sections: Sequence[Section]) -> str:
    """Write sections as markdown."""
    parts: list[str] = []
    for title, lines, table, figure in sections:
        parts += [f"## {title}", *lines]
        parts += [f"![{title}]({figure})"] if figure else []
        parts += [table.to_markdown().rstrip("\n")] if table.rows else []
    return "\n\n".join(parts) + "\n"


def sections_page(title: str, sections: Sequence[Section], folder: Path = Path()) -> str:
    """Write sections as a page of HTML; the figures are read from a folder."""
    parts: list[str] = []
    for name, lines, table, figure in sections:
        parts += [f"<h2>{escape(name)}</h2>", *(f"<p>{escape(line)}</p>" for line in lines)]
        parts += [picture(folder / figure, alt=name)] if figure else []
        parts += [table.to_html()] if table.rows else []
    return html_page(title, parts)
