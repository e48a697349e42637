"""Run mutated inputs through every verb and report violations of the rules.

python -m tests.fuzz --seed 0 --count 10000 --output fuzz.json

`--seed S --index I` reproduces one case and prints its verdict. For each kind of violation, the
files of one case are kept in the folder of `--keep`, with the command.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz import accounts, cases, rules, server, wellformed


def prepare(folder: Path) -> None:
    """Warm up the server and write the models that the cases read."""
    server.warm()
    assets = folder / "assets"
    server.empty(assets)
    wellformed.make_assets(assets)
    for command in wellformed.MADE:
        outcome = server.run(command, assets)
        if outcome.code:
            sys.exit(f"{command}: {outcome.err}")
    cases.use_assets(assets)


def work(folder: Path, seed: int, indices, kept: Path, deadline: float, verb: str | None) -> None:
    """Run the cases with the given indices, or those of one verb; write a JSON line for each."""
    likelihood = accounts.likelihood_by(folder / "assets" / "model")
    seen: set[str] = set()
    with (folder / f"verdicts-{os.getpid()}.jsonl").open("w") as file:
        for index in indices:
            if time.monotonic() > deadline:
                break
            case = cases.of_index(seed, index).with_likelihood(likelihood)
            if verb and case.verb != verb:
                continue
            verdict = rules.try_case(case, folder / f"case-{os.getpid()}")
            for violation in verdict.violations:
                label = f"{case.verb} {case.kind}: {violation}"
                if label not in seen:
                    seen.add(label)
                    rules.keep(case, verdict, kept / f"{seed}-{index}", label)
            line = {
                "index": index, "verb": case.verb, "kind": case.kind, "code": verdict.code,
                "seconds": round(verdict.seconds, 3), "violations": verdict.violations,
                "changes": [str(each)[:60] for each in case.changes],
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")
            file.flush()


def run_all(arguments, folder: Path) -> list[dict]:
    """Distribute the cases over processes and return all verdicts in order."""
    prepare(folder)
    deadline = time.monotonic() + (arguments.minutes or 1e6) * 60
    numbers = range(arguments.start, arguments.start + arguments.count)

    def share(place: int) -> None:
        mine = numbers[place :: arguments.jobs]
        work(folder, arguments.seed, mine, arguments.keep, deadline, arguments.verb)

    server.in_forks(arguments.jobs, share)
    lines = [line for path in folder.glob("verdicts-*.jsonl") for line in path.open()]
    return sorted(map(json.loads, lines), key=lambda verdict: verdict["index"])


def summary(verdicts: list[dict], arguments, seconds: float) -> dict:
    """Summarise the cases that ran and the violations that were found."""
    from megabase.runtime.environment import machine, versions  # noqa: PLC0415 after warm()

    found: dict[str, list[int]] = {}
    for each in verdicts:
        for violation in each["violations"]:
            found.setdefault(f"{each['verb']} {each['kind']}: {violation}", []).append(
                each["index"]
            )
    return {
        "seed": arguments.seed,
        "count": len(verdicts),
        "start": arguments.start,
        "minutes": round(seconds / 60, 1),
        "seconds_per_input": round(seconds * arguments.jobs / max(len(verdicts), 1), 3),
        "exit_codes": dict(sorted(Counter(each["code"] for each in verdicts).items())),
        "by_verb": dict(sorted(Counter(each["verb"] for each in verdicts).items())),
        "by_kind": dict(sorted(Counter(each["kind"] for each in verdicts).items())),
        "n_violations": sum(bool(each["violations"]) for each in verdicts),
        "violations": {
            label: {"n": len(indices), "first": indices[:5]}
            for label, indices in sorted(found.items())
        },
        "slowest": sorted(
            ({k: each[k] for k in ("seconds", "verb", "kind", "index")} for each in verdicts),
            key=lambda e: -e["seconds"],
        )[:5],
        "versions": versions(),
        "machine": machine(),
    }


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0, help="first index")
    parser.add_argument("--index", type=int, help="run only this case and print its result")
    parser.add_argument("--verb", help="run only cases of this verb, such as 'evaluate TASK'")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    arguments.keep = arguments.keep.absolute()
    with TemporaryDirectory(prefix="fuzz-") as folder:
        if arguments.index is not None:
            return show(arguments, Path(folder))
        started = time.monotonic()
        verdicts = run_all(arguments, Path(folder))
        report = summary(verdicts, arguments, time.monotonic() - started)
    text = json.dumps(report, indent=2)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    print(text)
    return int(bool(report["n_violations"]))


def show(arguments, folder: Path) -> int:
    """Run one case and print its result."""
    prepare(folder)
    likelihood = accounts.likelihood_by(folder / "assets" / "model")
    case = cases.of_index(arguments.seed, arguments.index).with_likelihood(likelihood)
    verdict = rules.try_case(case, folder / "case")
    rules.keep(case, verdict, arguments.keep / f"{arguments.seed}-{arguments.index}", "shown")
    print(f"megabase {' '.join(case.arguments)}\nchanges: {case.changes}\nexit code {verdict.code}")
    print(verdict.message, *verdict.violations, sep="\n")
    return int(bool(verdict.violations))


if __name__ == "__main__":
    sys.exit(main())
