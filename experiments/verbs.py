"""Runs a verb of megabase in a process of its own."""

import subprocess
import sys
from pathlib import Path


def megabase(*arguments: object, mixers: str | None = None) -> str:
    """Give what a verb prints; its progress is seen.

    Parameters
    ----------
    arguments
        The verb and what is given to it.
    mixers
        Of `mixers.MIXERS`, in the place of ours.

    Raises
    ------
    SystemExit
        If it fails.
    """
    other = [str(Path(__file__).with_name("mixers.py")), mixers]
    program = ["-m", "megabase"] if mixers is None else other
    command = [sys.executable, *program, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout
