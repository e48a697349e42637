"""The evaluation card of a model on a task, as text, page and figures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from megabase.errors import counted
from megabase.metrics.results import Collapsed, has_collapsed
from megabase.metrics.task_metrics import Labels, Predictions
from megabase.report.figures import new_figure, save_figure
from megabase.report.pages import Section, Table, sections_page, sections_text
from megabase.report.prediction_figures import draw_reliability


def draw_label_efficiency(report: Mapping[str, Any], path: Path) -> None:
    """Draw the metric of each system against training rows, mean ± one standard deviation.

    Parameters
    ----------
    report
        A report of `evaluation.card.evaluate_card`.
    path
        The PNG file to write.
    """
    figure = new_figure(1, width=7.0, row_height=4.2)
    (axes,) = figure.axes
    for system in dict.fromkeys(each["system"] for each in report["curve"]):
        points = [each for each in report["curve"] if each["system"] == system]
        axes.errorbar(
            [each["n_rows"] for each in points],
            [each["mean"] for each in points],
            yerr=[each["sd"] or 0.0 for each in points],
            marker="o",
            capsize=3,
            label=system,
        )
    if not math.isnan(report["majority"]):
        axes.axhline(report["majority"], color="0.6", linestyle=":", label="majority")
    axes.set_xscale("log")
    axes.set_xticks(report["rows"], [f"{n:,}" for n in report["rows"]])
    axes.set_xticks([], minor=True)
    axes.set(
        xlabel="training rows",
        ylabel=f"{report['metric']} on {report['n_test']:,} test rows",
        title=report["task"],
    )
    axes.legend(fontsize="small")
    save_figure(figure, path)


def draw_reliabilities(
    labels: Labels, answers: Mapping[str, Sequence[Predictions]], path: Path
) -> None:
    """Draw the reliability diagram of each system, over the predictions of all its seeds.

    Parameters
    ----------
    labels
        Class of each test row, counted from 0.
    answers
        By system, the predicted probabilities (row, class) of each seed.
    path
        The PNG file to write.
    """
    figure = new_figure(1, n_columns=len(answers), width=4.2 * len(answers), row_height=4.2)
    for axes, (system, of_seeds) in zip(figure.axes, answers.items(), strict=True):
        whole = np.concatenate(of_seeds)
        kind = "binary" if whole.shape[1] == 2 else "multiclass"
        draw_reliability(axes, kind, np.tile(labels, len(of_seeds)), whole)
        axes.set_title(f"{system}: {axes.get_title()}", fontsize="small")
    save_figure(figure, path)


EFFICIENCY, RELIABILITY = "label-efficiency.png", "reliability.png"

_COLLAPSED = (
    "collapsed: the trained model is no better than predicting the most frequent class (an MCC of "
    "0.000); its figures do not measure the method."
)

_Report = Mapping[str, Any]


def card_text(report: _Report) -> str:
    """Return a report of `evaluation.card.evaluate_card` as Markdown."""
    return sections_text(_sections(report))


def card_page(report: _Report, folder: Path) -> str:
    """Return a report of `evaluation.card.evaluate_card` as an HTML page.

    Parameters
    ----------
    report
        The report.
    folder
        Folder of its figures (PNG files), which are embedded in the page.
    """
    return sections_page(f"Evaluation card: {report['task']}", _sections(report), folder)


def _sections(report: _Report) -> list[Section]:
    return [
        Section(f"Evaluation card: {report['task']}", _how(report)),
        Section("Label efficiency", _efficiency_lines(report), _curve(report), EFFICIENCY),
        _calibration(report),
        _cost(report),
        _stability(report),
        Section(
            "Not tested",
            [
                "This card does not measure zero-shot tasks, shifts between laboratories, "
                "assemblies or species, other kinds of data, or usefulness in practice. It does "
                "not check whether the test sequences, without their labels, were part of the "
                "pretraining data.",
                "Each claimed benefit of a foundation model needs its own test: Wornow et al. "
                "2023, npj Digital Medicine 6:135.",
            ],
        ),
    ]


def _how(report: _Report) -> list[str]:
    settings, versions, rates = report["settings"], report["versions"], report["learning_rates"]
    about_rates = ", ".join(f"{rate:g} {system}" for system, rate in rates.items())
    differences = "; ".join(report["data"]["differences"])
    return [
        f"Pretrained: {settings['model']} (weights {report['model_sha256'][:8]}…), "
        f"adapt={settings['adapt']}. From scratch: the same architecture and size with randomly "
        "initialised weights, all of them trained. At most "
        f"{counted(settings['epochs'], 'epoch')} of batches of {settings['batch_size']}, "
        f"patience {settings['patience']}, peak learning rate "
        f"{about_rates}, otherwise the same settings; {counted(settings['n_seeds'], 'seed')} from "
        f"{settings['seed']}. Baseline: regression on k-mer frequencies.",
        "Protocol clean: epoch, k and penalty are chosen on validation rows; all "
        f"{report['n_test']:,} test rows are measured once for each training run. Rows: "
        f"{differences or 'the published rows and split'}.",
        f"megabase {versions['megabase']}, torch {versions['torch']}; {report['machine']}.",
    ]


def _efficiency_lines(report: _Report) -> list[str]:
    lines = [
        f"{report['metric']}, mean ± standard deviation over seeds. A seed draws both the rows and "
        "the initial weights. The smaller subsets of a seed are contained in its larger ones; "
        "each class (or range of values) keeps its share; all systems learn from the same rows. "
        "Validation rows come from one fixed set, at most as many as training rows "
        f"({report['n_validation']:,} in all). An epoch of fewer rows has fewer steps.",
    ]
    lines += [
        _needed_line(report["metric"], each)
        for each in report["needed"]
        if each["system"] == "from scratch"
    ]
    return [
        *lines,
        _difference_line(report),
        *_retry_lines(report),
        "The numbers of rows needed are interpolated linearly between the measured means, against "
        "the logarithm of rows. They are uncertain where two curves differ by less than their "
        "standard deviations.",
    ]


def _needed_line(metric: str, each: Mapping[str, Any]) -> str:
    start = f"With {each['n_rows']:,} training rows, pretrained reaches {metric}"
    if each["needed"] is None:
        return f"{start} {each['reached']:.3f}: {each['bound']}, so no number of rows is given."
    return (
        f"{start} {each['reached']:.3f}; {each['system']} needs {_needed(each)} rows to match it."
    )


def _difference_line(report: _Report) -> str:
    found, floor = report["difference"], report["majority"]
    interval = (
        "no interval"
        if found["interval"] is None
        else "[{:+.3f}, {:+.3f}]".format(*found["interval"])
    )
    about_floor = (
        f"leaves {report['metric']} undefined" if math.isnan(floor) else f"reaches {floor:.3f}"
    )
    return (
        f"Predicting the majority (or mean) of the training labels {about_floor}. Pretrained minus "
        f"from scratch on all rows, means over seeds: {found['value']:+.3f} {interval}, paired "
        "95 % bootstrap over the test rows."
    )


def _needed(each: Mapping[str, Any]) -> str:
    if each["needed"] is None:
        return each["bound"]
    return f"{each['bound']} {round(each['needed']):,}"


def _curve(report: _Report) -> Table:
    """Return a row for each number of training rows: the metrics, and the rows needed."""
    points = {(each["n_rows"], each["system"]): each for each in report["curve"]}
    flags = _flags(report)
    needed = {(each["n_rows"], each["system"]): _needed(each) for each in report["needed"]}
    systems = list(dict.fromkeys(system for _, system in points))
    others = list(dict.fromkeys(system for _, system in needed))
    rows = [
        [
            f"{n:,}",
            f"{points[n, systems[0]]['n_validation']:,}",
            *(_mean(points[n, system]) + flags.get((system, n), "") for system in systems),
            *(needed[n, system] for system in others),
        ]
        for n in report["rows"]
    ]
    head = ["training rows", "validation rows", *systems]
    return Table([*head, *(f"{name} needs" for name in others)], rows)


def _calibration(report: _Report) -> Section:
    title = "Calibration"
    if report["calibration"] is None:
        return Section(title, ["Not applicable: values have no probabilities."])
    rows = [
        [system, _mean(each["brier"]), _mean(each["calibration_error"])]
        for system, each in report["calibration"].items()
    ]
    lines = [
        "Models trained on all rows, measured on the test rows: Brier score (with more than two "
        "classes, the sum over classes) and expected calibration error in 15 bins; lower is "
        "better. The table averages over seeds; the figure pools the predictions of all seeds."
    ]
    return Section(title, lines, Table(["system", "Brier", "ECE"], rows), RELIABILITY)


def _cost(report: _Report) -> Section:
    rows = [
        [
            f"{each['n_rows']:,}",
            each["system"],
            _mean(each["seconds"], digits=1),
            _mean(each["processor_seconds"], digits=1),
            "" if each["n_epochs"] is None else f"{each['n_epochs']:.1f}",
            f"{each['peak_memory_bytes'] / 2**30:.2f}",
            f"{each['n_moving']:,} of {each['n_parameters']:,}",
        ]
        for each in report["cost"]
    ]
    lines = [
        "Cost of one training run with its validation, without pretraining. Processor seconds are "
        "summed over threads; seconds are wall time and include the effect of other work on the "
        "machine. Memory is the peak of the whole process, with libraries and data, up to the end "
        "of the run: it never decreases, so later runs show at least the value of earlier ones. "
        "GPU memory is not included.",
    ]
    head = ["training rows", "system", "seconds", "processor seconds", "epochs", "peak GiB"]
    return Section("Cost to adapt", lines, Table([*head, "trained parameters"], rows))


def _stability(report: _Report) -> Section:
    flags, n_all = _flags(report), max(report["rows"])
    rows = [
        [system, metric, f"{each['n']}", _mean(each) + flags.get((system, n_all), ""), *_ends(each)]
        for system, metrics in report["stability"].items()
        for metric, each in metrics.items()
    ]
    lines = [
        "Over seeds, trained on all rows. k-mers on all rows are fitted once, because that fit is "
        "deterministic."
    ]
    return Section(
        "Stability", lines, Table(["system", "metric", "seeds", "mean", "min", "max"], rows)
    )


def _mean(each: Mapping[str, Any], *, digits: int = 4) -> str:
    text = f"{each['mean']:.{digits}f}"
    return text if each["sd"] is None else f"{text} ± {each['sd']:.{digits}f}"


def _flags(report: _Report) -> dict[tuple[str, int], str]:
    """Return the collapse flag of each system and number of rows that has one."""
    of_seeds: dict[tuple[str, int], list[bool]] = {}
    for run in report["runs"]:
        place = run["system"], run["n_rows"]
        of_seeds.setdefault(place, []).append(has_collapsed(run["metrics"]))
    return {
        place: f", {Collapsed(sum(found), len(found))}"
        for place, found in of_seeds.items()
        if any(found)
    }


def _retry_lines(report: _Report) -> list[str]:
    """Return lines that explain the collapse flag, if used, and list repeated training runs."""
    lines = [_COLLAPSED] if _flags(report) else []
    for run in report["runs"]:
        if attempts := run.get("attempts"):
            first, again = sorted((each["learning_rate"] for each in attempts), reverse=True)
            reported = next(each["learning_rate"] for each in attempts if each["is_reported"])
            lines.append(
                f"{run['system']}, {run['n_rows']:,} rows, seed {run['seed']}: it collapsed on "
                f"validation with learning rate {first:.3g}, and was retrained with {again:.3g}; "
                f"the run with the better validation result is reported: {reported:.3g}."
            )
    return lines


def _ends(each: Mapping[str, Any]) -> Sequence[str]:
    return f"{each['least']:.4f}", f"{each['most']:.4f}"
