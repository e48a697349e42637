"""Text files are UTF-8, whatever the locale: every call that opens one says so."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "scripts", "benchmarks", "experiments", "examples")


def unspecified(tree):
    """Yield the line of each call that reads or writes text in the encoding of the locale."""
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        if any(keyword.arg in ("encoding", None) for keyword in call.keywords):
            continue
        method = isinstance(call.func, ast.Attribute)
        name = call.func.attr if method else getattr(call.func, "id", "")
        is_text = name in ("read_text", "write_text") and method
        if name == "open":
            owner = call.func.value if method else None
            of_library = isinstance(owner, ast.Name) and owner.id in ("os", "pybigtools")
            modes = [a.value for a in call.args if isinstance(a, ast.Constant)]
            is_packed = isinstance(owner, ast.Name) and owner.id in ("gzip", "archive")
            is_text = "rt" in modes if is_packed else not any("b" in str(mode) for mode in modes)
            is_text = is_text and not of_library
        if is_text:
            yield call.lineno


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_text_file_is_opened_as_utf_8(folder):
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in unspecified(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("path.read_text()", True),
        ("path.write_text(x)", True),
        ("path.open()", True),
        ("path.open('w')", True),
        ("open(path)", True),
        ("gzip.open(path, 'rt')", True),
        ("path.open('rb')", False),
        ("gzip.open(path)", False),
        ("path.open('w', encoding='utf-8')", False),
        ("path.read_text(encoding='utf-8')", False),
    ],
)
def test_what_is_found(line, is_found):
    assert bool(list(unspecified(ast.parse(line)))) == is_found
