"""The catalogue of all tasks, and lookup by name or pattern."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from megabase.errors import InputError
from megabase.evaluation.tasks.statements import group_names, task_group
from megabase.evaluation.tasks.task import Task
from megabase.metrics.results import Published

_PATTERN = re.compile(r"[*?[]")


def groups() -> tuple[str, ...]:
    """Return the names of the groups, in order."""
    return group_names()


def all_tasks() -> tuple[Task, ...]:
    """Return every task, group by group."""
    return tuple(task for group in group_names() for task in task_group(group).tasks)


def published_means() -> tuple[Published, ...]:
    """Return the numbers that are means over several tasks (`Published.over`)."""
    return tuple(number for group in group_names() for number in task_group(group).means)


def find_tasks(patterns: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks that match patterns, each once, in the order of the patterns.

    Parameters
    ----------
    patterns
        Each is a name (``gue/tf/0``), a group (``gue``) or a prefix of one (``gue/tf``), a
        pattern with ``*``, ``?`` or ``[...]`` (``gue/prom/*_tata``), or the last part of a name
        if it is unique (``prom_core_tata``, but not ``H3K4me3``).

    Raises
    ------
    InputError
        If a pattern matches no task, or the last part of a name is ambiguous.

    Examples
    --------
    >>> [task.name for task in find_tasks(["gue/mouse/[01]", "prom_core_tata"])]
    ['gue/mouse/0', 'gue/mouse/1', 'gue/prom/prom_core_tata']
    """
    found: dict[str, Task] = {}
    for pattern in patterns:
        found |= {task.name: task for task in _meant(pattern)}
    if not found:
        raise InputError(f"name a task or a group: {', '.join(groups())}")
    return tuple(found.values())


def find_task(name: str) -> Task:
    """Return the one task that a name or pattern matches.

    Parameters
    ----------
    name
        A pattern of `find_tasks`.

    Raises
    ------
    InputError
        If it matches no task, or several.
    """
    found = [*find_tasks([name])]
    if len(found) > 1:
        raise InputError(f"{name} matches {len(found)} tasks, {_some(found)}; name one of them")
    return found[0]


def _meant(pattern: str) -> list[Task]:
    wanted = pattern.rstrip("/")
    tasks = _candidates(wanted)
    exact = [task for task in tasks if task.name == wanted]
    inside = [task for task in tasks if task.name.startswith(f"{wanted}/")]
    alike = [task for task in tasks if fnmatchcase(task.name, wanted)]
    if exact or inside or alike:
        return exact or inside or alike
    ends = [task for task in all_tasks() if task.name.endswith(f"/{wanted}")]
    if len(ends) > 1:
        raise InputError(
            f"{pattern} is ambiguous: {len(ends)} tasks end in it, {_some(ends)}; name one of them"
        )
    return ends or _unknown(pattern)


def _candidates(wanted: str) -> tuple[Task, ...]:
    """Return the tasks whose whole names can match, from the file of a named group only."""
    group, _, _ = wanted.partition("/")
    if _PATTERN.search(group):
        return all_tasks()
    return task_group(group).tasks if group in group_names() else ()


def _some(tasks: Iterable[Task]) -> str:
    names = [task.name for task in tasks]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _unknown(pattern: str) -> list[Task]:
    """Raise an InputError that suggests the closest name."""
    names = [task.name for task in all_tasks()]
    ends = {name.rpartition("/")[2]: name for name in reversed(names)}
    near = get_close_matches(pattern, [*names, *groups(), *ends], n=1, cutoff=0.6)
    hint = (
        f"did you mean {ends.get(near[0], near[0])}?" if near else f"groups: {', '.join(groups())}"
    )
    raise InputError(f"no task is called {pattern!r}; {hint}")
