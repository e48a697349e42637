"""Reports as sections, tables, Markdown and HTML pages with nothing to load from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from megabase.metrics.results import Collapsed, Published, Result, Summary, summarise
from megabase.runtime.log import counted

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
"""

_EXPERIMENTS = (
    ("gain", "More context, same bases",
     "The last bases of each window, predicted from the given amount of context; the control sees "
     "only the nearest 64 bases. A difference above 0 is the benefit of the context beyond them.",
     ("bases of context", "bits per base", "64 bases")),
    ("doubled", "More context, step by step",
     "The same bases, predicted from the given amount of context; the control sees the next "
     "shorter one. A difference below 0 means that the added context makes the model worse.",
     ("bases of context", "bits per base", "next shorter context")),
    ("whole", "Whole context against less context",
     "The same bases, predicted from the whole context; the control sees only the given number of "
     "nearest bases. A difference above 0 is the benefit of the rest.",
     ("nearest bases", "whole context", "nearest bases only")),
    ("shuffled", "Far context, true and permuted",
     "The same bases, predicted from the whole window; in the control all bases further back than "
     "the distance are permuted, which keeps the composition. A difference above 0 means that the "
     "model uses the order of distant bases.",
     ("permuted beyond, bases", "bits per base", "permuted")),
    ("recall", "Recall of a copy",
     "The second copy of a real segment, the given number of bases after the first; in the "
     "control the first copy is replaced by another segment. A difference above 0 is recall.",
     ("gap, bases", "second copy", "control")),
)  # fmt: skip


def context_page(report: Mapping[str, Any], figure: Path) -> str:
    """Return the HTML page of a context report.

    Parameters
    ----------
    report
        A report of `evaluation.context.report_context`.
    figure
        The PNG file of its figure, which is embedded in the page.
    """
    positions = [
        (f"{each['start']:,} to {each['end']:,}", *_bits(each["bits"]))
        for each in report["by_position"]
    ]
    parts = [
        f"<h1>Does context help {escape(report['model_name'])}?</h1>",
        f"<p>{counted(report['n_windows'], 'held-out window')} of {report['context_length']:,} "
        f"bases of {escape(report['genome'])}; {report['n_targets']:,} targets at the end of each. "
        "Intervals are 95 % bootstrap intervals over windows. "
        "Regions, seed and hashes are in context.json.</p>",
        picture(figure, alt="plots of the tables below"),
        "<h2>By position in the window</h2>",
        Table(("positions", "bits per base", "95 % interval"), positions).to_html(),
    ]
    for key, title, text, head in (each for each in _EXPERIMENTS if report[each[0]]):
        rows = [
            (
                f"{each['distance']:,}",
                f"{each['bits']['bits_per_base']:.4f}",
                f"{each['control']['bits_per_base']:.4f}",
                *_bits(each["difference"]),
            )
            for each in report[key]
        ]
        parts += [f"<h2>{title}</h2>", f"<p>{text}</p>"]
        parts.append(Table((*head, "difference", "95 % interval"), rows).to_html())
    return html_page("Context report", parts)


def picture(figure: Path, *, alt: str) -> str:
    """Return an HTML image that embeds a PNG file; `alt` is its alternative text."""
    encoded = base64.b64encode(figure.read_bytes()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{encoded}">'


def html_page(title: str, parts: Sequence[str]) -> str:
    """Return an HTML page.

    Parameters
    ----------
    title
        The title, as plain text; it is escaped.
    parts
        Pieces of HTML, one below the other; they are not escaped.
    """
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>\n<body>\n{body}\n</body></html>\n"
    )


def interval_text(interval: Sequence[float] | None) -> str:
    """Return an interval as text; None is an interval that too few windows leave undefined."""
    return "too few windows" if interval is None else "{:.4f} to {:.4f}".format(*interval)


def _bits(bits: Mapping[str, Any]) -> tuple[str, str]:
    return f"{bits['bits_per_base']:.4f}", interval_text(bits["interval"])


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


def _html_row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


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
