"""The catalogue of all tasks: read from the YAML file of each group, checked, found by pattern.

A file has the keys of `GroupFile`. A statement has the keys of `Task`, except ``name``, which is
its key in the file, and ``published``, whose numbers are in tables.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from megabase.errors import InputError
from megabase.evaluation.tasks.task import Task
from megabase.metrics.results import Published, read_published
from megabase.runtime.config_file import RunConfig, explain, keys_of, read_yaml

_FOLDER = Path(__file__).parent
_LIKE = "like"
_ELSEWHERE = {
    "name": "the name of a task is its key in the file",
    "published": "published numbers are in the tables of the group",
}
"""What a statement does not have, although a task has it, and why."""
_KEYS = (_LIKE, *(each.name for each in fields(Task) if each.name not in _ELSEWHERE))
_CHECKED = TypeAdapter(Task)
_PATTERN = re.compile(r"[*?[]")


class PublishedTable(RunConfig):
    """Numbers of one publication."""

    protocol: str
    """One of `results.PROTOCOLS`."""
    source: str
    """The publication and its table."""
    sources: dict[str, str] = Field(default_factory=dict[str, str])
    """Other sources, by the model they apply to."""
    metric: str | None = None
    """The metric of all rows; None: that of each task."""
    metrics: dict[str, str] = Field(default_factory=dict[str, str])
    """The metric of a row, if it is another one."""
    is_percent: bool = False
    """Whether the values are percentages."""
    parts: tuple[str, ...] = ()
    """Groups of labels; each cell then has a value for each."""
    table: str
    """A line of model names, then a line for each task, or pattern of tasks; see
    `results.read_published`."""

    def numbers(self, metrics: Mapping[str, str]) -> dict[str, tuple[Published, ...]]:
        """Return the numbers of each row, in the order of the columns.

        Parameters
        ----------
        metrics
            The metric of each row, unless the table states one.
        """
        rows = self.rows()
        whole = dict(metrics) if self.metric is None else dict.fromkeys(rows, self.metric)
        whole |= self.metrics
        if missing := [row for row in rows if row not in whole]:
            raise InputError(f"the row {missing[0]!r} of a table needs a metric")
        return read_published(
            self.table, whole, self.protocol, self.source, is_percent=self.is_percent,
            sources=self.sources, parts=self.parts,
        )  # fmt: skip

    def rows(self) -> list[str]:
        """Return the names of the rows."""
        lines = filter(None, self.table.splitlines())
        return [line.partition("|")[0].strip() for line in lines][1:]


class GroupFile(RunConfig):
    """The content of the file of a group."""

    shared: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What all tasks of the group state, unless they state something else."""
    tasks: dict[str, dict[str, Any]]
    """The statements, by the name of the task within the group. A statement with the key ``like``
    states what it does not state itself as the task of that name, of this or another group."""
    published: tuple[PublishedTable, ...] = ()
    """Published numbers of tasks."""
    means: tuple[PublishedTable, ...] = ()
    """Published means over several tasks: the rows are patterns of task names."""


_FILE_KEYS = (*GroupFile.model_fields, *keys_of(GroupFile))


class Stated(NamedTuple):
    """The tasks of a group, and the published means over several of them (`Published.over`)."""

    tasks: tuple[Task, ...]
    means: tuple[Published, ...]


@cache
def group_names() -> tuple[str, ...]:
    """Return the names of all groups, in order."""
    return tuple(read_yaml(_FOLDER / "groups.yaml", is_ours=True)["groups"])


@cache
def group_file(group: str) -> GroupFile:
    """Return the content of the file of a group."""
    return read_group_file(_FOLDER / f"{group}.yaml")


@cache
def task_group(group: str) -> Stated:
    """Return the tasks of a group."""
    return read_tasks(group, group_file(group))


def read_group_file(file: Path) -> GroupFile:
    """Read the file of a group.

    Raises
    ------
    InputError
        If it is not valid YAML, or a key is unknown, missing or invalid.
    """
    tree = read_yaml(file, is_ours=True)
    try:
        return GroupFile.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{file.name}: {explain(error, _FILE_KEYS)}") from error


def read_tasks(group: str, file: GroupFile) -> Stated:
    """Return the tasks that a file states.

    Parameters
    ----------
    group
        Name of the group.
    file
        The content of its file.

    Raises
    ------
    InputError
        If a statement has an unknown key, contradicts itself, or is like a task that does not
        exist or is like another one itself, or a row of a table is not a task.
    """
    tasks = [_task(group, file, name) for name in file.tasks]
    metrics = {name: task.metric for name, task in zip(file.tasks, tasks, strict=True)}
    numbers: dict[str, tuple[Published, ...]] = dict.fromkeys(file.tasks, ())
    for table in file.published:
        if unknown := [row for row in table.rows() if row not in file.tasks]:
            raise InputError(
                f"{group}.yaml: a published table has a row {unknown[0]!r}, which is not a task of "
                "the group"
            )
        for name, found in table.numbers(metrics).items():
            numbers[name] += found
    return Stated(
        tuple(
            replace(task, published=found)
            for task, found in zip(tasks, numbers.values(), strict=True)
        ),
        tuple(
            replace(number, over=row)
            for table in file.means
            for row, found in table.numbers({}).items()
            for number in found
        ),
    )


def _task(group: str, file: GroupFile, name: str) -> Task:
    stated = {**file.shared, **_statement(group, file, name), "name": f"{group}/{name}"}
    try:
        return _CHECKED.validate_python(stated)
    except ValidationError as error:
        raise InputError(f"{group}.yaml, task {name}: {explain(error, _KEYS)}") from error


def _statement(group: str, file: GroupFile, name: str) -> dict[str, Any]:
    """Return what a task states, also by the task that it is like, but not what is shared."""
    own = dict(file.tasks[name])
    if taken := own.keys() & _ELSEWHERE.keys():
        key = min(taken)
        raise InputError(f"{group}.yaml, task {name}: {key} is not a key; {_ELSEWHERE[key]}")
    if _LIKE not in own:
        return own
    like = str(own.pop(_LIKE))
    its_group, _, its_name = like.partition("/")
    if its_group != group:
        file = group_file(its_group) if its_group in group_names() else GroupFile(tasks={})
    if its_name not in file.tasks or _LIKE in file.tasks[its_name]:
        raise InputError(
            f"{group}.yaml, task {name}: {_LIKE} must be the name of a task that is not like "
            f"another one, got {like!r}"
        )
    return {**file.shared, **file.tasks[its_name], **own}


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
        raise InputError(f"name a task or a group: {', '.join(group_names())}")
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
    near = get_close_matches(pattern, [*names, *group_names(), *ends], n=1, cutoff=0.6)
    hint = (
        f"did you mean {ends.get(near[0], near[0])}?"
        if near
        else f"groups: {', '.join(group_names())}"
    )
    raise InputError(f"no task is called {pattern!r}; {hint}")
