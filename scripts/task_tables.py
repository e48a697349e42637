"""Write the tables of docs/tasks.md from the catalogue, between its two markers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from megabase.evaluation.tasks.catalogue import find_tasks, group_names, published_means
from megabase.evaluation.tasks.task import Task

PAGE = Path(__file__).parents[1] / "docs" / "tasks.md"
BEGIN = "<!-- by scripts/task_tables.py: begin -->\n"
END = "<!-- by scripts/task_tables.py: end -->"


def table(head: list[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def numbers(task: Task, protocols: tuple[str, ...]) -> str:
    """Return the published numbers of HyenaDNA, by group of labels if there are groups."""
    found = [
        f"{number.part} {100 * number.value:.1f}".strip()
        for number in task.published
        if number.model.startswith("HyenaDNA")
        and number.model != "HyenaDNA v1"
        and number.protocol in protocols
    ]
    return ", ".join(found) or "-"


def rows_of(task: Task) -> str:
    """Return the published numbers of rows of the three splits."""
    sizes = [
        "-" if split not in task.published_rows else _size(task.published_rows[split])
        for split in ("train", "validation", "test")
    ]
    return " / ".join(sizes) if task.published_rows else "none published"


def _size(n: int | None) -> str:
    return "?" if n is None else f"{n:,}"


def describe(group: str) -> str:
    """Return the heading, sources, table and notes of a group."""
    tasks = find_tasks([group])
    sources = dict.fromkeys(
        f"{task.source.paper}{f' (<{task.source.url}>)' if task.source.url else ''}. "
        f"Licence: {task.source.licence}."
        for task in tasks
    )
    head = ["task", "what is predicted", "kind", "metric", "rows train / validation / test", "bp",
            "HyenaDNA, paper", "HyenaDNA, others", "numbers"]  # fmt: skip
    lines = (
        [
            f"`{task.name}`", task.title, task.kind.replace("_", " "), task.metric, rows_of(task),
            f"{task.length or task.median_length or '-'}", numbers(task, ("paper",)),
            numbers(task, ("clean", "ten-fold", "official", "frozen", "unstated")),
            str(len(task.published)),
        ]
        for task in tasks
    )  # fmt: skip
    notes = dict.fromkeys(note for task in tasks for note in task.notes)
    means = [number for number in published_means() if number.over.startswith(f"{group}/")]
    listed = [f"- {note}{_of(note, tasks)}\n" for note in notes]
    listed += [
        f"- mean over `{number.over}`: {number.model} {100 * number.value:.2f} ({number.source})\n"
        for number in means
    ]
    parts = [f"### {group}\n", "".join(f"{source}\n" for source in sources), table(head, lines)]
    return "\n".join([*parts, "".join(listed)])


def _of(note: str, tasks: Sequence[Task]) -> str:
    """Return the tasks that a note applies to, or nothing if it applies to all."""
    some = [task for task in tasks if note in task.notes]
    if len(some) == len(tasks):
        return ""
    names = ", ".join(f"`{task.name}`" for task in some[:3])
    return f" ({names}{' and others' if len(some) > 3 else ''})"


def tables() -> str:
    """Return the tables of all groups."""
    return "\n".join(map(describe, group_names()))


def page() -> str:
    """Return the page with rewritten tables."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n" + tables() + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE} has {len(find_tasks(group_names()))} tasks")
