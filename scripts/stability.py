"""Run the tests of learned behaviour under conditions that change rounding.

python scripts/stability.py [--only NAME...] [TEST...]

Each condition runs the tests marked `learned`, or the given tests, and the verdicts are compared. A
test that passes in one condition and fails in another depends on rounding and needs a more stable
setup (a lower learning rate, more steps, the median of several seeds).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple


class Condition(NamedTuple):
    """Environment variables to set, and options of pytest."""

    environment: dict[str, str]
    options: tuple[str, ...] = ()


CONDITIONS = {
    "as usual": Condition({}),
    "two threads": Condition({"OMP_NUM_THREADS": "2"}),
    "not compiled": Condition({"MEGABASE_COMPILE": "0"}),
    "no vectors": Condition({"ATEN_CPU_CAPABILITY": "default"}),
    "AVX2": Condition({"ATEN_CPU_CAPABILITY": "avx2"}),
    "weights moved by 1e-6": Condition({}, ("--perturb", "1e-6")),
    "weights moved by 1e-5": Condition({}, ("--perturb", "1e-5")),
}


def main() -> None:
    """Run all conditions; the exit code is 1 if a test fails in one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "tests", nargs="*", help="tests in the syntax of pytest (default: all marked `learned`)"
    )
    parser.add_argument("--only", action="append", choices=list(CONDITIONS), default=[])
    arguments = parser.parse_args()
    failures = {
        name: failed_in(CONDITIONS[name], arguments.tests) for name in arguments.only or CONDITIONS
    }
    for test in sorted(set().union(*failures.values())):
        where = ", ".join(name for name, failed in failures.items() if test in failed)
        print(f"{test} fails: {where}")
    sys.exit(any(failures.values()))


def failed_in(condition: Condition, tests: list[str]) -> set[str]:
    """Run the tests in one condition and return the names of those that fail."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        chosen = tests or ["-m", "learned and not slow", "tests"]
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}"]
        print(" ".join([*(f"{k}={v}" for k, v in condition.environment.items()), *command[1:3]]),
              *condition.options, *chosen, flush=True)  # fmt: skip
        subprocess.run(
            [*command, *condition.options, *chosen],
            env=os.environ | condition.environment,
            check=False,
        )
        return failures_of(report.read_text(encoding="utf-8"))


def failures_of(report: str) -> set[str]:
    """Return the names of the failed tests of a JUnit report."""
    cases = ElementTree.fromstring(report).iter("testcase")
    return {
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }


if __name__ == "__main__":
    main()
