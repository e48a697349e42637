"""Runs a verb of megabase in a process of its own, and what else the experiments share."""

import subprocess
import sys
from collections.abc import Collection, Mapping
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


def sets(keys: Mapping[str, object]) -> list[str]:
    """Give keys of a configuration as options of a verb."""
    return [text for key, value in keys.items() for text in ("--set", f"{key}={value}")]


def chosen(text: str, known: Collection[str]) -> list[str]:
    """Part names at semicolons.

    Raises
    ------
    SystemExit
        If there is none of a name.
    """
    names = text.split(";")
    if unknown := set(names) - set(known):
        raise SystemExit(f"there is no {min(unknown)!r}; there are {'; '.join(known)}")
    return names


def file_name(name: str) -> str:
    """Give a name as that of a folder."""
    return name.replace(", ", "-").replace(" ", "_")
