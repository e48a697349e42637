"""A card of a regression leaves calibration out, and says what is not defined."""

import numpy as np
import pytest

from megabase.evaluation.card_systems import summarise_card
from megabase.report import card_report as card_figures
from megabase.report.card_report import card_text, draw_label_efficiency
from megabase.report.figures import new_figure

TRUE = np.arange(5.0)
SYSTEMS = ("pretrained", "from scratch", "k-mers")


def record(system, n_rows, seed, value):
    return {
        "system": system, "n_rows": n_rows, "n_validation": n_rows, "seed": seed,
        "metrics": {"spearman": value}, "seconds": 2.0, "processor_seconds": 1.0,
        "peak_memory_bytes": 2**30, "n_epochs": None if system == "k-mers" else 3,
        "n_parameters": 10, "n_moving": 4 if system == "pretrained" else 10,
    }  # fmt: skip


def report_of(values, majority=float("nan")):
    """Give a report where each system reaches these values with 10 and 1,000 rows."""
    records = [
        record(system, n_rows, seed, value)
        for system, both in zip(SYSTEMS, values, strict=True)
        for n_rows, of_seeds in zip((10, 1000), both, strict=True)
        for seed, value in enumerate(of_seeds)
    ]
    answers = {system: [TRUE[::-1]] for system in SYSTEMS} | {"pretrained": [TRUE]}
    settings = {
        "model": "model", "adapt": "head", "epochs": 3, "batch_size": 8, "patience": 3,
        "n_seeds": 2, "seed": 0,
    }  # fmt: skip
    return {
        "task": "toy/values", "metric": "spearman", "rows": [10, 1000], "n_test": 5,
        "n_validation": 100, "settings": settings, "model_sha256": "0" * 64, "machine": "a toy",
        "learning_rates": {"pretrained": 0.01, "from scratch": 6e-4},
        "runs": records, "data": {"differences": []}, "versions": {"megabase": "0", "torch": "0"},
        **summarise_card(
            "spearman", "regression", records, answers, TRUE, majority=majority, seed=0
        ),
    }  # fmt: skip


REPORT = report_of([[(0.4, 0.6), (0.7, 0.9)], [(0.2, 0.2), (0.8, 0.8)], [(0.1, 0.1), (0.4, 0.4)]])


def test_labels_needed_are_in_the_text_and_in_the_table():
    text = card_text(REPORT)
    reached = "With 10 training rows, pretrained reaches spearman 0.500"
    assert f"{reached}; from scratch needs about 100 rows to match it." in text
    row = next(line for line in text.splitlines() if line.startswith("| 10 |"))
    assert row.split(" | ")[2:] == [
        "0.5000 ± 0.1414", "0.2000 ± 0.0000", "0.1000 ± 0.0000", "about 100", "more than 1,000 |"
    ]  # fmt: skip
    assert "| 10 | pretrained | 2.0 ± 0.0 | 1.0 ± 0.0 | 3.0 | 1.00 | 4 of 10 |" in text


def test_a_regression_has_no_calibration():
    assert REPORT["calibration"] is None
    assert "Not applicable: values have no probabilities." in card_text(REPORT)
    assert "reliability.png" not in card_text(REPORT)


def test_undefined_metrics_are_explained():
    text = card_text(report_of([[(None, 0.6), (0.7, 0.9)], *([[(0.2,), (0.8,)]] * 2)]))
    assert "With 10 training rows, pretrained reaches spearman nan: not defined, so" in text
    assert "With 1,000 training rows, pretrained reaches spearman 0.800; from scratch" in text


def test_no_number_of_labels_is_given_for_what_the_majority_reaches():
    text = card_text(report_of([[(0.4, 0.6), (0.7, 0.9)], *([[(0.2,), (0.8,)]] * 2)], 0.5))
    start = "With 10 training rows, pretrained reaches spearman 0.500"
    assert f"{start}: no better than the majority, so no number of rows is given." in text
    assert "Predicting the majority (or mean) of the training labels reaches 0.500." in text
    assert "from scratch needs at most 1,000 rows" not in text
    assert "from scratch needs about 1,000 rows to match it." in text


def test_the_difference_of_the_two_is_reported_with_its_interval():
    assert REPORT["difference"]["value"] == pytest.approx(2.0)
    assert "means over seeds: +2.000 no interval" in card_text(REPORT)


def test_the_figure_has_the_means_against_the_rows(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    kept = []

    def keep(*arguments, **options):
        kept.append(new_figure(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(card_figures, "new_figure", keep)
    draw_label_efficiency(REPORT, tmp_path / "figure.png")
    lines = [each.lines[0].get_xydata() for each in kept[0].axes[0].containers]
    np.testing.assert_allclose(lines[0], [[10, 0.5], [1000, 0.8]])
    np.testing.assert_allclose(lines[2], [[10, 0.1], [1000, 0.4]])
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_a_collapsed_system_is_flagged_and_a_repeated_training_is_reported():
    report = report_of([[(0.4, 0.6), (0.7, 0.9)], [(0.2, 0.2), (0.8, 0.8)], [(0.1,), (0.4,)]])
    assert "collapsed" not in card_text(report)
    for run in report["runs"]:
        if run["system"] == "from scratch" and run["n_rows"] == 10:
            run["metrics"] = {"mcc": 0.0}
            run["attempts"] = [
                {"learning_rate": 6e-4, "metrics": {"mcc": 0.0}, "is_reported": True},
                {"learning_rate": 1.8e-4, "metrics": {"mcc": 0.0}, "is_reported": False},
            ]
    text = card_text(report)
    assert "| 0.2000 ± 0.0000, collapsed |" in text
    assert "from scratch, 10 rows, seed 0: it collapsed on validation with learning rate" in text
    assert "0.0006, and was retrained with 0.00018;" in text
