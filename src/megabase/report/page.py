"""HTML pages of figures and tables, with nothing to load from elsewhere."""

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
     "The last bases of each window after so much context; the control has the nearest 64 bases "
     "only. A difference above 0 is what the context beyond them is worth.",
     ("bases of context", "bits per base", "after 64 bases")),
    ("doubled", "More context, step by step",
     "The same bases after so much context; the control has the next shorter one. A difference "
     "below 0 is context that makes the model worse.",
     ("bases of context", "bits per base", "after the shorter")),
    ("whole", "The whole context, beside less of it",
     "The same bases after the whole context; the control has only so many of the nearest. A "
     "difference above 0 is what the rest is worth.",
     ("nearest bases", "after the whole", "after these alone")),
    ("shuffled", "Far context, true and permuted",
     "The same bases after the whole window; in the control everything further back than the "
     "distance is permuted, composition kept. A difference above 0 is knowledge of order far away.",
     ("permuted beyond, bases", "bits per base", "permuted")),
    ("recall", "Recall of a copy",
     "The second copy of a real segment, so many bases after the first; in the control another "
     "segment stood there. A difference above 0 is recall.",
     ("gap, bases", "second copy", "control")),
)  # fmt: skip


def context_page(report: Mapping[str, Any], figure: Path) -> str:
    """Make the page of a context report, with its figure inside it.

    Parameters
    ----------
    report
        As `evaluation.context_report.report_context` gives it.
    figure
        A PNG file.
    """
    positions = [
        (f"{each['start']:,} to {each['end']:,}", *_bits(each["bits"]))
        for each in report["by_position"]
    ]
    parts = [
        f"<h1>Does context help {escape(report['model_name'])}?</h1>",
        f"<p>{counted(report['n_windows'], 'held-out window')} of {report['context_length']:,} "
        f"bases of {escape(report['genome'])}; {report['n_targets']:,} targets at the end of each. "
        "Intervals are 95 % bootstraps over windows. "
        "Regions, seed and hashes stand in context.json.</p>",
        picture(figure, alt="figures of what stands below"),
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
    """Put a PNG file into a page, whole; `alt` says what it shows."""
    encoded = base64.b64encode(figure.read_bytes()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{encoded}">'


def html_page(title: str, parts: Sequence[str]) -> str:
    """Make a page of pieces of HTML, one below the other."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>\n<body>\n{body}\n</body></html>\n"
    )


def interval_text(interval: Sequence[float] | None) -> str:
    """Write an interval for people, or that there is none."""
    return "none of so few windows" if interval is None else "{:.4f} to {:.4f}".format(*interval)


def _bits(bits: Mapping[str, Any]) -> tuple[str, str]:
    return f"{bits['bits_per_base']:.4f}", interval_text(bits["interval"])
