"""Markdown tables of results, and of published numbers where these may stand beside them."""

from collections.abc import Iterable, Mapping, Sequence

from megabase.measure.published import Published
from megabase.measure.result import Result, Summary, summarise

_NUMBERS = ("test rows", "published")


def results_table(results: Sequence[Result]) -> str:
    """Write a table: a row for each task and metric, a column for each model.

    Over seeds it is mean ± standard deviation; of one, value and 95 % bootstrap interval.

    Parameters
    ----------
    results
        Ours and those of the baselines, in the order of rows and columns.

    Raises
    ------
    InputError
        As `measure.result.summarise` does.
    """
    summaries = summarise(results)
    models = list(dict.fromkeys(each.model for each in summaries))
    cells = {(each.task, each.metric, each.model): _cell(each) for each in summaries}
    n_test = {each.task: each.n_test for each in summaries}
    rows = [
        [task, f"{n_test[task]:,}", metric, *(cells.get((task, metric, name), "") for name in models)]
        for task, metric in dict.fromkeys((each.task, each.metric) for each in summaries)
    ]  # fmt: skip
    return markdown_table(["task", "test rows", "metric", *models], rows, numbers=models)


def published_table(results: Sequence[Result], published: Mapping[str, Sequence[Published]]) -> str:
    """Write the published numbers of tasks and metrics that have results on the same rows.

    Parameters
    ----------
    results
        Ours and those of the baselines.
    published
        By task.

    Returns
    -------
    table
        A row for each number; below it, a line for each task whose numbers are left out,
        as rows or split are not the published ones.
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
    head = ["task", "metric", "model", "published", "protocol", "source"]
    table = [markdown_table(head, rows)] if rows else []
    left_out = [
        f"{task}: published numbers are left out, as rows or split are not the published ones.\n"
        for task in dict.fromkeys(task for task, _ in measured)
        if published.get(task) and task not in comparable
    ]
    return "\n".join([*table, *left_out])


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()
) -> str:
    """Write a table; the columns of `numbers`, and of numbers by their name, stand right."""
    right = {*numbers, *_NUMBERS}
    rule = ["---:" if name in right else "---" for name in head]
    return "".join(f"{_line(cells)}\n" for cells in (head, rule, *rows))


def _cell(summary: Summary) -> str:
    if summary.n_seeds > 1:
        return f"{summary.mean:.4f} ± {summary.deviation:.4f} ({summary.n_seeds} seeds)"
    if summary.interval is None:
        return f"{summary.mean:.4f}"
    return "{:.4f} [{:.4f}, {:.4f}]".format(summary.mean, *summary.interval)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"
