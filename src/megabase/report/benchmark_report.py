"""The report of `evaluate TASK`: results, baselines, published numbers and leaks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from megabase.errors import counted
from megabase.metrics.results import Published, Result, collapsed_models
from megabase.report.pages import (
    Section,
    Table,
    published_table,
    results_table,
    sections_page,
    sections_text,
)

_PROTOCOLS = {
    "clean": "Protocol clean: the epoch, and the seed whose model is saved, are chosen on "
    "validation rows; test rows are measured once, at the end.",
    "paper": "Protocol paper: the best epoch, and the best values of a sweep, are chosen ON THE "
    "REPORTED TEST ROWS, as the paper's released scripts do for epochs. These numbers are "
    "optimistic; compare them only with numbers of the same protocol.",
}

_FROZEN = (
    "frozen: the unmodified pretrained model; its last layer is averaged over each sequence. "
    "On these vectors, logistic regression (ridge regression for values), nearest neighbours "
    "and boosted trees are fitted; their settings are chosen on validation rows."
)
_MAP = (
    "t-SNE map of the frozen embeddings of training and test rows, by class. Neighbouring points "
    "are similar; distances between groups mean little."
)


def benchmark_text(report: Mapping[str, Any]) -> str:
    """Return a report of `evaluation.benchmark.evaluate_tasks` as Markdown."""
    return sections_text(_sections(report))


def benchmark_page(report: Mapping[str, Any], folder: Path) -> str:
    """Return a report of `evaluation.benchmark.evaluate_tasks` as an HTML page.

    Parameters
    ----------
    report
        The report.
    folder
        Folder of its figures (PNG files), which are embedded in the page.
    """
    return sections_page("Benchmarks", _sections(report), folder)


def overview_text(reports: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table of the main metric of each task of several reports."""
    of_main = [each for report in reports for each in _of_main(report)]
    whole = [each for report in reports for each in _results(report)]
    table = results_table(of_main, collapsed_models(whole))
    return sections_text([Section("Overview", _collapse_lines(whole), table)])


def _results(report: Mapping[str, Any]) -> list[Result]:
    return [Result.from_row(row) for task in report["tasks"] for row in task["results"]]


def _of_main(report: Mapping[str, Any]) -> list[Result]:
    main = {task["data"]["task"]: task["metric"] for task in report["tasks"]}
    return [each for each in _results(report) if each.metric.startswith(main[each.task])]


def _sections(report: Mapping[str, Any]) -> list[Section]:
    tasks, results = report["tasks"], _results(report)
    collapsed = collapsed_models(results)
    published = {
        task["data"]["task"]: [Published(**each) for each in task["published"]] for task in tasks
    }
    return [
        Section(
            "Results",
            [
                _PROTOCOLS[report["protocol"]],
                _how(report),
                *_frozen(report),
                *_collapse_lines(results),
            ],
            results_table(_of_main(report), collapsed),
        ),
        Section(
            "Published numbers on the same rows and split",
            _left_out(tasks) or ([] if any(published.values()) else ["No published numbers."]),
            published_table(results, published),
        ),
        Section("Leaks and shortcuts", [], _leaks(tasks)),
        *(
            Section(f"Embeddings of {task['data']['task']}", [_MAP], figure=task["figure"])
            for task in tasks
            if task["figure"]
        ),
        Section("All metrics", [], results_table(results, collapsed)),
    ]


_COLLAPSED = (
    "collapsed: the trained model is no better than predicting the most frequent class (an MCC of "
    "0.000, or the majority's accuracy from every seed); its figures do not measure the method."
)


def _collapse_lines(results: Sequence[Result]) -> list[str]:
    """Return lines that explain the collapse flag, if used, and list retrained baselines."""
    retried: dict[tuple[str, str], list[Result]] = {}
    for each in results:
        of_seeds = retried.setdefault((each.task, each.model), [])
        if "attempts" in each.settings and each.seed not in [other.seed for other in of_seeds]:
            of_seeds.append(each)
    lines = [_COLLAPSED] if collapsed_models(results) else []
    return lines + [_retry_line(each) for each in retried.values() if each]


def _retry_line(of_seeds: Sequence[Result]) -> str:
    first = of_seeds[0]
    rates = sorted((each["learning_rate"] for each in first.settings["attempts"]), reverse=True)
    reported = ", ".join(
        f"{attempt['learning_rate']:.3g}" + ("" if each.seed is None else f" (seed {each.seed})")
        for each in of_seeds
        for attempt in each.settings["attempts"]
        if attempt["is_reported"]
    )
    return (
        f"{first.task}, {first.model}: it collapsed on validation with learning rate "
        f"{rates[0]:.3g}, and was retrained with {rates[-1]:.3g}; the run with the better "
        f"validation result is reported: {reported}."
    )


def _left_out(tasks: list[Mapping[str, Any]]) -> list[str]:
    return [
        f"{task['data']['task']}: {task['n_published_left_out']} published numbers are left out "
        f"({'; '.join(task['data']['differences'])})."
        for task in tasks
        if task["n_published_left_out"]
    ]


_SAID = ("model", "preset", "architecture", "n_seeds", "seed", "epochs", "patience", "sweep")
_OF_WAYS = ("lora", "prompt")  # ways of adapting; their settings have these prefixes


def _how(report: Mapping[str, Any]) -> str:
    settings, versions = report["settings"], report["versions"]
    swept = ", ".join(settings["sweep"])
    start = settings["model"] or f"preset {settings['preset'] or 'tiny'}, from scratch"
    others = tuple(f"{way}_" for way in _OF_WAYS if way != settings["adapt"])
    keys = [
        f"{key}={value}"
        for key, value in settings.items()
        if value not in (None, {}) and key not in _SAID and not key.startswith(others)
    ]
    return (
        f"{start}; {counted(settings['n_seeds'], 'seed')} from {settings['seed']}, "
        f"at most {counted(settings['epochs'], 'epoch')}, patience {settings['patience']}"
        + (f", {swept} swept on the validation rows for the model alone" if swept else "")
        + f"; {', '.join(keys)}; megabase "
        f"{versions['megabase']}, torch {versions['torch']}; {report['machine']}. With one seed or "
        "none, the interval is the 95 % bootstrap over test rows; with several seeds, cells show "
        "mean ± standard deviation."
    )


def _frozen(report: Mapping[str, Any]) -> list[str]:
    """Return lines that explain frozen systems and tasks that are embedded in chunks."""
    chunked = (
        f"{task['data']['task']}: rows may be longer than the context, so they are embedded in "
        "chunks of that length; adapted models and CNNs are left out because they cannot read "
        "chunks."
        for task in report["tasks"]
        if task["chunks"]
    )
    return [*([_FROZEN] if report["probes"] else []), *chunked]


def _leaks(tasks: list[Mapping[str, Any]]) -> Table:
    rows = [
        [
            task["data"]["task"],
            f"{leaks['n_train']:,}",
            f"{leaks['n_test']:,}",
            f"{leaks['exact']['n']:,}",
            f"{leaks['reverse_complement']['n']:,}",
            f"{leaks['n_near']:,}",
            *(_shortcut(leaks["shortcuts"].get(name)) for name in ("length", "gc")),
        ]
        for task, leaks in ((task, task["leaks"]) for task in tasks)
    ]
    return Table(
        ["task", "training rows", "test rows", "exact repeats", "reverse complements",
         "near repeats", "length alone", "GC alone"], rows,
    )  # fmt: skip


def _shortcut(found: Mapping[str, Any] | None) -> str:
    return "" if found is None or found["value"] is None else f"{found['value']:.3f}"
