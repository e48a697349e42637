"""Write docs/benchmarks.md from output folders of `megabase evaluate TASK`.

python scripts/benchmark_report.py FOLDER... --output docs/benchmarks.md

The figures of each folder are copied to docs/benchmarks/NAME.json, without paths, and the page is
written from all files there. Without a folder, the page is rewritten from these files.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from megabase.evaluation.benchmark import RESULTS, SCRATCH
from megabase.report.benchmark_report import benchmark_text, overview_text

_HEAD = """# Benchmarks

Small models trained from scratch and [the shipped model](default.md) after adaptation, compared
with inexpensive baselines on the same rows: `megabase evaluate TASK`
([Evaluation](evaluation.md)). `scripts/benchmark_report.py` generates this page from the results
in `docs/benchmarks/`. The GenomicBenchmarks sets are restricted to their rows on human chromosome
20, with the official assignment to training and test; no published number refers to these rows.

```sh
set=human_ocr_ensembl
keys="--epochs 4 --set learning_rate=2e-3 --set strand=average --set reverse_complement_p=0.5 \\
    --set pooling=max --set batch_size=32"
megabase evaluate genomic_benchmarks/$set --data FOLDER --output $set \\
    --model asset:default --from-scratch $keys
python scripts/benchmark_report.py $set
```

Each section lists its own settings (`epochs`, `seeds`, `batch_size` and `pooling` differ between
sets). Two sets have one folder for each column (`--preset tiny`, then `--model asset:default`),
with `--set precision=bfloat16`.

The shipped model was pretrained, without labels, on human chromosome 20 up to base 45,000,000.
Its pretraining data therefore contain most test rows of GenomicBenchmarks and some of GUE, but no
test row of `gene_structure` (the last tenth of the chromosome) and no fly sequence.
"""


def main() -> None:
    """Copy the figures of the given folders and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks.md"))
    arguments = parser.parse_args()
    kept = arguments.output.with_suffix("")
    kept.mkdir(exist_ok=True)
    for folder in arguments.folders:
        report = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        if report["settings"]["model"]:
            report["settings"]["model"] = Path(report["settings"]["model"]).name
        for task in report["tasks"]:
            task["data"]["place"] = Path(task["data"]["place"]).name
        (kept / f"{folder.name}.json").write_text(
            json.dumps(report, indent=1) + "\n", encoding="utf-8"
        )
    arguments.output.write_text(page(kept), encoding="utf-8")


def page(kept: Path) -> str:
    """Return the page of all results in a folder."""
    reports = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(kept.glob("*.json"), key=_name)
    ]
    return "\n".join([_HEAD, overview_text(without_repeats(reports)), *map(_section, reports)])


def _name(path: Path) -> str:
    return path.stem


def without_repeats(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return reports without results that an earlier report already has, such as baselines.

    Raises
    ------
    SystemExit
        If a repeated result has another value, so that the reports cannot be combined.
    """
    seen: dict[str, str] = {}
    return [
        report
        | {"tasks": [task | {"results": _fresh(task["results"], seen)} for task in report["tasks"]]}
        for report in reports
    ]


def _fresh(rows: list[dict[str, Any]], seen: dict[str, str]) -> list[dict[str, Any]]:
    """Return the rows that are not in `seen`, and add all rows to it."""
    fresh: list[dict[str, Any]] = []
    for row in rows:
        key = ", ".join(str(row[name]) for name in ("task", "model", "metric", "seed", "data_hash"))
        value = json.dumps(row["value"])
        if key not in seen:
            fresh.append(row)
        elif seen[key] != value:
            raise SystemExit(
                f"{key}: {seen[key]} in one folder, {value} in another; report them apart"
            )
        seen[key] = value
    return fresh


def _section(report: dict[str, Any]) -> str:
    names = ", ".join(task["data"]["task"] for task in report["tasks"])
    columns = {row["model"] for task in report["tasks"] for row in task["results"]}
    if report["settings"]["model"] and SCRATCH not in columns:
        names += ", pretrained"
    return f"## {names}\n\n{benchmark_text(report).replace('## ', '### ')}"


if __name__ == "__main__":
    main()
