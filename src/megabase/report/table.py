"""Markdown tables of results, published numbers beside them where these may stand there."""

from collections.abc import Sequence

from megabase.measure.result import PublishedFigure, Result, Summary, summarise


def results_table(results: Sequence[Result], published: Sequence[PublishedFigure] = ()) -> str:
    """Write a table: a row for each task and metric, a column for each model.

    A published number stands in the table only if the rows and the split of our figures
    are the published ones; of the others a line below tells that they were left out. Over
    seeds it is mean ± standard deviation; of one, value and 95 % bootstrap interval.

    Parameters
    ----------
    results
        Ours and those of the baselines, in the order of rows and columns.
    published
        Of these tasks and others; what has no row here is not shown.

    Raises
    ------
    InputError
        As `measure.result.summarise` does.
    """
    summaries = summarise(results)
    comparable = {each.task for each in summaries if each.is_published_split}
    rows = list(dict.fromkeys((each.task, each.metric) for each in summaries))
    beside = [
        each for each in published if (each.task, each.metric) in rows and each.task in comparable
    ]
    models = list(dict.fromkeys(each.model for each in summaries))
    papers = list(dict.fromkeys((each.model, each.source) for each in beside))
    cells = {(each.task, each.metric, each.model): _cell(each) for each in summaries}
    numbers = {
        (each.task, each.metric, each.model, each.source): f"{each.value:.4g}" for each in beside
    }
    n_test = {each.task: each.n_test for each in summaries}
    head = [
        "task",
        "test rows",
        "metric",
        *models,
        *(f"{model} (published)" for model, _ in papers),
    ]
    lines = [
        _line(head),
        _line(["---", *["---:" if name != "metric" else "---" for name in head[1:]]]),
    ]
    for task, metric in rows:
        ours = [cells.get((task, metric, model), "") for model in models]
        theirs = [numbers.get((task, metric, *paper), "") for paper in papers]
        lines.append(_line([task, f"{n_test[task]:,}", metric, *ours, *theirs]))
    notes = [f"{model} (published): {source}." for model, source in papers]
    left_out = {each.task for each in published if each.task in n_test} - comparable
    notes += [
        f"{task}: published numbers are left out, as rows or split are not the published ones."
        for task in n_test
        if task in left_out
    ]
    return "\n".join([*lines, *(["", *notes] if notes else []), ""])


def _cell(summary: Summary) -> str:
    if summary.n_seeds > 1:
        return f"{summary.mean:.4f} ± {summary.deviation:.4f} ({summary.n_seeds} seeds)"
    if summary.interval is None:
        return f"{summary.mean:.4f}"
    return "{:.4f} [{:.4f}, {:.4f}]".format(summary.mean, *summary.interval)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"
