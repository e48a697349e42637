"""Write docs/cli.md from the command line, and docs/api.md from the public names of the package.

python scripts/reference_pages.py
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import typer
import typer.core
import typer.main

import megabase
from megabase.cli.main import app

DOCS = Path(__file__).parents[1] / "docs"
_NOTE = "<!-- written by scripts/reference_pages.py -->\n\n"


def verbs(
    command: object, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Yield the words and the command of every verb, also those of a group of verbs."""
    for name, each in getattr(command, "commands", {}).items():
        if each.hidden:
            continue
        yield " ".join(("megabase", *words, name)), each
        yield from verbs(each, (*words, name))


def row(parameter: typer.core.TyperOption | typer.core.TyperArgument) -> str:
    """Return the row of an option or argument in the table of its verb."""
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len, reverse=True))
    shown = parameter.show_default if isinstance(parameter.show_default, str) else None
    default = shown or parameter.default
    if parameter.required:
        default = "required"
    elif default in (None, False, (), []) or callable(default):
        default = "`asset:default`" if callable(default) else ""
    else:
        default = f"`{default}`"
    meaning = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    return f"| {names} | {default} | {meaning} |\n"


def section(words: str, command: typer.core.TyperCommand) -> str:
    """Return the section of a verb: what it does, examples, and a table of its options."""
    paragraphs = [" ".join(each.split()) for each in (command.help or "").split("\n\n")]
    examples = [each for each in paragraphs if each.startswith("megabase ")]
    text = "\n\n".join(each for each in paragraphs if each not in examples)
    parts = [f"## {words}\n\n{text}\n"]
    if examples:
        parts.append("\n```sh\n" + "\n".join(examples) + "\n```\n")
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    if shown:
        parts.append("\n| option | default | meaning |\n| --- | --- | --- |\n")
        parts.extend(map(row, shown))
    return "".join(parts)


def cli_page() -> str:
    """Return the page of all verbs and their options."""
    sections = [section(words, command) for words, command in verbs(typer.main.get_command(app))]
    head = (
        "# Command line\n\n"
        + _NOTE
        + "Every command and option, as `megabase COMMAND --help` shows "
        "them. [Commands](commands.md) describes inputs, outputs, shards and exit codes.\n\n"
    )
    return head + "\n".join(sections)


def api_page() -> str:
    """Return the page of the public names of the package, whose texts Sphinx inserts."""
    parts = [
        "# Python API\n\n", _NOTE,
        "The names that `import megabase` offers. [From Python](python.md) has examples. The built "
        "documentation inserts the docstrings, which a plain Markdown viewer does not.\n",
    ]  # fmt: skip
    for name in megabase.__all__:
        thing = getattr(megabase, name)
        is_class = inspect.isclass(thing)
        first = re.split(r"\n\n", inspect.getdoc(thing) or "")[0].replace("\n", " ")
        parts.append(f"\n## megabase.{name}\n\n{first}\n")
        if not is_class and not inspect.isfunction(thing):
            parts.append(f"\nThis is `megabase.Predictor.{thing.__name__}`.\n")
            continue
        directive, options = ("autoclass", "   :members:\n") if is_class else ("autofunction", "")
        parts.append(f"\n```{{eval-rst}}\n.. {directive}:: megabase.{name}\n{options}```\n")
    return "".join(parts)


if __name__ == "__main__":
    (DOCS / "cli.md").write_text(cli_page(), encoding="utf-8")
    (DOCS / "api.md").write_text(api_page(), encoding="utf-8")
