"""The page of `evaluate context`: does more context help, and which."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from megabase.errors import counted
from megabase.metrics.bootstrap import interval_text
from megabase.report.pages import Section, Table, sections_page

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


_CHANGED = (
    "As above, but the second copy is not exact: it is the reverse complement of the first, or the "
    "given part of its bases is replaced by another base at random, which cannot be recalled."
)


def context_page(report: Mapping[str, Any], figure: Path) -> str:
    """Return the HTML page of a context report.

    Parameters
    ----------
    report
        A report of `evaluation.context.report_context`.
    figure
        The PNG file of its figure, which is embedded in the page.
    """
    summary = (
        f"{counted(report['n_windows'], 'held-out window')} of {report['context_length']:,} "
        f"bases of {report['genome']}; {report['n_targets']:,} targets at the end of each. "
        "Intervals are 95 % bootstrap intervals over windows. "
        "Regions, seed and hashes are in context.json."
    )
    positions = [
        (f"{each['start']:,} to {each['end']:,}", *_bits(each["bits"]))
        for each in report["by_position"]
    ]
    sections = [
        Section(
            f"Does context help {report['model_name']}?",
            [summary],
            figure=figure.name,
            figure_text="plots of the tables below",
            level=1,
        ),
    ]
    if positions:
        table = Table(("positions", "bits per base", "95 % interval"), positions)
        sections.append(Section("By position in the window", [], table))
    changed = [
        (f"recall of a copy: {name}", f"Recall of a copy, {name}", _CHANGED, _EXPERIMENTS[-1][-1])
        for name in report["recall_changed"]
    ]
    found = {**report} | {f"recall of a copy: {k}": v for k, v in report["recall_changed"].items()}
    for key, title, text, head in (*_EXPERIMENTS, *changed):
        rows = [
            (
                f"{each['distance']:,}",
                f"{each['bits']['bits_per_base']:.4f}",
                f"{each['control']['bits_per_base']:.4f}",
                *_bits(each["difference"]),
            )
            for each in found[key]
        ]
        if rows:
            table = Table((*head, "difference", "95 % interval"), rows)
            sections.append(Section(title, [text], table))
    return sections_page("Context report", sections, figure.parent)


def _bits(bits: Mapping[str, Any]) -> tuple[str, str]:
    return f"{bits['bits_per_base']:.4f}", interval_text(bits["interval"])
