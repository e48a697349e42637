"""Self-contained HTML pages of figures and tables."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from megabase.report.table import Table
from megabase.run.log import counted

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
        A report of `evaluation.context_report.report_context`.
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
