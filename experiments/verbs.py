"""Runs a verb of megabase in a process of its own."""

import subprocess
import sys


def megabase(*arguments: object) -> str:
    """Give what a verb prints; its progress is seen.

    Raises
    ------
    SystemExit
        If it fails.
    """
    command = [sys.executable, "-m", "megabase", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout
