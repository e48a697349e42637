"""Tables of results, and of the published numbers that are comparable with them."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from megabase.measure.collapse import Collapsed
from megabase.measure.published import Published
from megabase.measure.result import Result, Summary, summarise

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

    def to_html(self) -> str:
        """Return the table as HTML."""
        rows = [_html_row(self.head, "th"), *(_html_row(row, "td") for row in self.rows)]
        return "\n".join(["<table>", *rows, "</table>"])


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
        By task and model, the flag to add to its cells; see `measure.collapse.collapsed_models`.

    Raises
    ------
    InputError
        If `measure.result.summarise` finds the results inconsistent.
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


def _html_row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
