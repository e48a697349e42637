"""The evaluation card of a model on a task, as text and as a page."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from megabase.measure.collapse import Collapsed, has_collapsed
from megabase.report.sections import Section, sections_page, sections_text
from megabase.report.table import Table
from megabase.run.log import counted

EFFICIENCY, RELIABILITY = "label-efficiency.png", "reliability.png"

_COLLAPSED = (
    "collapsed: a training that tells no more than the most frequent class does (an MCC of 0.000); "
    "its figures are no measure of the method."
)

_Report = Mapping[str, Any]


def card_text(report: _Report) -> str:
    """Write a card, as `evaluation.card.evaluate_card` gives it, as markdown."""
    return sections_text(_sections(report))


def card_page(report: _Report, folder: Path) -> str:
    """Write it as a page of HTML, with the figures of a folder inside it."""
    return sections_page(f"Evaluation card: {report['task']}", _sections(report), folder)


def _sections(report: _Report) -> list[Section]:
    return [
        Section(f"Evaluation card: {report['task']}", _how(report), Table([], [])),
        Section("Label efficiency", _efficiency_lines(report), _curve(report), EFFICIENCY),
        _calibration(report),
        _cost(report),
        _stability(report),
        Section(
            "Not tested",
            [
                "Tasks without any training, shift over laboratory, assembly or species, other "
                "kinds of data, the worth to people who work with it: this card says nothing of "
                "them. Nor is it known here whether the test sequences, without their labels, "
                "were in what the model was pretrained on.",
                "Each claimed benefit of a foundation model wants its own test: Wornow et al. "
                "2023, npj Digital Medicine 6:135.",
            ],
            Table([], []),
        ),
    ]


def _how(report: _Report) -> list[str]:
    settings, versions, rates = report["settings"], report["versions"], report["learning_rates"]
    about_rates = ", ".join(f"{rate:g} {system}" for system, rate in rates.items())
    differences = "; ".join(report["data"]["differences"])
    return [
        f"Pretrained: {settings['model']} (weights {report['model_sha256'][:8]}…), "
        f"adapt={settings['adapt']}. From scratch: the same architecture and size with weights "
        "drawn anew, all of which move. At most "
        f"{counted(settings['epochs'], 'epoch')} of batches of {settings['batch_size']}, "
        f"patience {settings['patience']}, peak learning rate "
        f"{about_rates}, else the same settings; {counted(settings['n_seeds'], 'seed')} from "
        f"{settings['seed']}. Beside them regression on the frequencies of k-mers.",
        "Protocol clean: epoch, k and penalty are chosen on validation rows; all "
        f"{report['n_test']:,} test rows are measured once for each training. Rows: "
        f"{differences or 'the published rows and split'}.",
        f"megabase {versions['megabase']}, torch {versions['torch']}; {report['machine']}.",
    ]


def _efficiency_lines(report: _Report) -> list[str]:
    lines = [
        f"{report['metric']}, mean ± standard deviation over seeds, which draw the rows as well "
        "as the weights. Of a seed the fewer rows are among the more, each class (or range of "
        "values) with its share; all systems learn from the same. Validation rows are always the "
        f"same, but at most as many as the training rows ({report['n_validation']:,} in all). An "
        "epoch of fewer rows has fewer steps.",
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
        "Such numbers of rows lie on straight lines between the measured means, against the "
        "logarithm of rows; where two curves differ by no more than their deviations, so uncertain "
        "are they.",
    ]


def _needed_line(metric: str, each: Mapping[str, Any]) -> str:
    start = f"With {each['n_rows']:,} training rows pretrained reaches {metric}"
    if each["needed"] is None:
        return f"{start} {each['reached']:.3f}: {each['bound']}, and no labels are told for that."
    return f"{start} {each['reached']:.3f}; {each['system']} needs {_needed(each)} rows for that."


def _difference_line(report: _Report) -> str:
    found, floor = report["difference"], report["majority"]
    interval = (
        "no interval"
        if found["interval"] is None
        else "[{:+.3f}, {:+.3f}]".format(*found["interval"])
    )
    about_floor = f"has no {report['metric']}" if math.isnan(floor) else f"has {floor:.3f}"
    return (
        f"The majority (or mean) of the training labels {about_floor}. Pretrained minus from "
        f"scratch on all rows, means over seeds: {found['value']:+.3f} {interval}, 95 % bootstrap "
        "over the test rows, both on the same."
    )


def _needed(each: Mapping[str, Any]) -> str:
    if each["needed"] is None:
        return each["bound"]
    return f"{each['bound']} {round(each['needed']):,}"


def _curve(report: _Report) -> Table:
    """Make a row of each number of training rows, with what each system reaches and needs."""
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
        return Section(title, ["Values have no probabilities: left out."], Table([], []))
    rows = [
        [system, _mean(each["brier"]), _mean(each["calibration_error"])]
        for system, each in report["calibration"].items()
    ]
    lines = [
        "Of the models that learned from all rows, on the test rows: Brier score (of more than "
        "two classes the sum over classes) and expected calibration error in 15 bins; less is "
        "better. The table is of each seed by itself, the figure of all seeds together."
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
        "Of one training, validation with it, pretraining left out. Processor seconds are those "
        "of all threads; other work on the machine lengthens the seconds. Memory is the most "
        "that the whole process, libraries and data with it, has had until the training ended: "
        "it never falls, so what is trained later has at least that of what came before. "
        "The memory of a GPU is not in it.",
    ]
    head = ["training rows", "system", "seconds", "processor seconds", "epochs", "peak GiB"]
    return Section("Cost to adapt", lines, Table([*head, "parameters that move"], rows))


def _stability(report: _Report) -> Section:
    flags, n_all = _flags(report), max(report["rows"])
    rows = [
        [system, metric, f"{each['n']}", _mean(each) + flags.get((system, n_all), ""), *_ends(each)]
        for system, metrics in report["stability"].items()
        for metric, each in metrics.items()
    ]
    lines = [
        "Over seeds, learned from all rows. k-mers on all rows are fitted once: no chance has a "
        "part in them."
    ]
    return Section(
        "Stability", lines, Table(["system", "metric", "seeds", "mean", "least", "most"], rows)
    )


def _mean(each: Mapping[str, Any], *, digits: int = 4) -> str:
    text = f"{each['mean']:.{digits}f}"
    return text if each["sd"] is None else f"{text} ± {each['sd']:.{digits}f}"


def _flags(report: _Report) -> dict[tuple[str, int], str]:
    """Return the flag of each system and number of rows of which a training collapsed."""
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
    """Explain the flag if there is one, and say which trainings were repeated."""
    lines = [_COLLAPSED] if _flags(report) else []
    for run in report["runs"]:
        if attempts := run.get("attempts"):
            first, again = sorted((each["learning_rate"] for each in attempts), reverse=True)
            reported = next(each["learning_rate"] for each in attempts if each["is_reported"])
            lines.append(
                f"{run['system']}, {run['n_rows']:,} rows, seed {run['seed']}: it collapsed on "
                f"validation with learning rate {first:.3g}, and was trained once more with "
                f"{again:.3g}; the better by validation is reported: {reported:.3g}."
            )
    return lines


def _ends(each: Mapping[str, Any]) -> Sequence[str]:
    return f"{each['least']:.4f}", f"{each['most']:.4f}"
