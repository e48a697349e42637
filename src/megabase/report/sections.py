"""A report as sections, rendered as Markdown or as an HTML page with embedded figures."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from megabase.report.page import html_page, picture
from megabase.report.table import Table


class Section(NamedTuple):
    """A section of a report: title, paragraphs, optional figure and table, in this order.

    Attributes
    ----------
    title
        The heading.
    lines
        Paragraphs of plain text.
    table
        A table; it is left out if it has no rows.
    figure
        File name of a PNG figure in the folder of the report, or None.
    """

    title: str
    lines: list[str]
    table: Table
    figure: str | None = None


def sections_text(sections: Sequence[Section]) -> str:
    """Return sections as Markdown; figures are linked by their file names."""
    parts: list[str] = []
    for title, lines, table, figure in sections:
        parts += [f"## {title}", *lines]
        parts += [f"![{title}]({figure})"] if figure else []
        parts += [table.to_markdown().rstrip("\n")] if table.rows else []
    return "\n\n".join(parts) + "\n"


def sections_page(title: str, sections: Sequence[Section], folder: Path = Path()) -> str:
    """Return sections as an HTML page.

    Parameters
    ----------
    title
        Title of the page.
    sections
        The sections, in order.
    folder
        Folder of the figures, which are embedded in the page.
    """
    parts: list[str] = []
    for name, lines, table, figure in sections:
        parts += [f"<h2>{escape(name)}</h2>", *(f"<p>{escape(line)}</p>" for line in lines)]
        parts += [picture(folder / figure, alt=name)] if figure else []
        parts += [table.to_html()] if table.rows else []
    return html_page(title, parts)
