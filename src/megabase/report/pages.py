"""Reports as sections, tables, Markdown and HTML pages with nothing to load from elsewhere.

The HTML page is `templates/report.html`.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from megabase.metrics.results import Collapsed, Published, Result, Summary, summarise

# Columns of text, which are aligned left; all others are numbers and aligned right.
_TEXTS = ("task", "genome", "metric", "model", "system", "protocol", "source")


class Table(NamedTuple):
    """A table of text cells.

    Attributes
    ----------
    head
        Names of the columns.
    rows
        The cells of each row, already formatted.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        rule = ["---" if name in _TEXTS else "---:" for name in self.head]
        return "".join(f"{_line(cells)}\n" for cells in (self.head, rule, *self.rows))


def results_table(
    results: Sequence[Result], collapsed: Mapping[tuple[str, str], Collapsed] | None = None
) -> Table:
    """Return a table with a row for each task and metric and a column for each model.

    With several seeds a cell is mean ± standard deviation; with one it is the value and its
    95 % bootstrap interval.

    Parameters
    ----------
    results
        Results of models and baselines; rows and columns keep their order.
    collapsed
        By task and model, the flag to add to its cells; see `metrics.results.collapsed_models`.

    Raises
    ------
    InputError
        If `metrics.results.summarise` finds the results inconsistent.
    """
    summaries = summarise(results)
    models = list(dict.fromkeys(each.model for each in summaries))
    flags = {place: f", {flag}" for place, flag in (collapsed or {}).items()}
    cells = {
        (each.task, each.metric, each.model): _cell(each) + flags.get((each.task, each.model), "")
        for each in summaries
    }
    n_test = {each.task: each.n_test for each in summaries}
    rows = [
        [task, f"{n_test[task]:,}", metric]
        + [cells.get((task, metric, name), "") for name in models]
        for task, metric in dict.fromkeys((each.task, each.metric) for each in summaries)
    ]
    return Table(["task", "test rows", "metric", *models], rows)


def published_table(
    results: Sequence[Result], published: Mapping[str, Sequence[Published]]
) -> Table:
    """Return a table of the published numbers that are comparable with the results.

    A number is comparable if its task was measured on the published rows and split, and its
    metric is among the results.

    Parameters
    ----------
    results
        Results of models and baselines.
    published
        The published numbers of each task.
    """
    measured = dict.fromkeys((each.task, each.metric) for each in results)
    comparable = {each.task for each in results if each.is_published_split}
    rows = [
        [task, metric, each.model, f"{each.value:.4g}", each.protocol, each.source]
        for task, metric in measured
        if task in comparable
        for each in published.get(task, ())
        if each.figure == metric
    ]
    return Table(["task", "metric", "model", "published", "protocol", "source"], rows)


def _cell(summary: Summary) -> str:
    if summary.n_seeds > 1:
        return f"{summary.mean:.4f} ± {summary.deviation:.4f} ({summary.n_seeds} seeds)"
    if summary.interval is None:
        return f"{summary.mean:.4f}"
    return "{:.4f} [{:.4f}, {:.4f}]".format(summary.mean, *summary.interval)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"


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
    figure_text
        Alternative text of the figure in HTML; if empty, the title.
    level
        Level of the heading in HTML.
    """

    title: str
    lines: list[str]
    table: Table = Table((), ())
    figure: str | None = None
    figure_text: str = ""
    level: int = 2


def sections_text(sections: Sequence[Section]) -> str:
    """Return sections as Markdown; figures are linked by their file names."""
    parts: list[str] = []
    for each in sections:
        parts += [f"## {each.title}", *each.lines]
        parts += [f"![{each.title}]({each.figure})"] if each.figure else []
        parts += [each.table.to_markdown().rstrip("\n")] if each.table.rows else []
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

    def encoded(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    page = _templates.get_template("report.html")
    return page.render(title=title, sections=sections, encoded=encoded)


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
_templates.filters["escape"] = escape  # that of jinja2 writes quotation marks differently
