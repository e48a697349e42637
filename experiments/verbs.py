"""Run a verb of megabase in its own process, and other helpers of the experiments."""

import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path


def megabase(*arguments: object, mixers: str | None = None) -> str:
    """Run a verb and return its standard output; its progress remains visible.

    Parameters
    ----------
    arguments
        The verb and its arguments.
    mixers
        A name of `mixers.MIXERS`, or None for our operator.

    Raises
    ------
    SystemExit
        If the verb fails.
    """
    other = [str(Path(__file__).with_name("mixers.py")), mixers]
    program = ["-m", "megabase"] if mixers is None else other
    command = [sys.executable, *program, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def sets(keys: Mapping[str, object]) -> list[str]:
    """Return keys of a configuration as `--set` options of a verb."""
    return [text for key, value in keys.items() for text in ("--set", f"{key}={value}")]


def chosen(text: str, known: Collection[str]) -> list[str]:
    """Split names at semicolons.

    Raises
    ------
    SystemExit
        If a name is not in `known`.
    """
    names = text.split(";")
    if unknown := set(names) - set(known):
        raise SystemExit(f"{min(unknown)!r} is unknown; choose from {'; '.join(known)}")
    return names


def file_name(name: str) -> str:
    """Return a name without commas and blanks, for a folder."""
    return name.replace(", ", "-").replace(" ", "_")
