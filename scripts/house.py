"""Figures of the architecture: sizes, imports between folders, names, language, comments.

python scripts/house.py [--names] [--phrases FOLDER]

Each figure stands next to what it was before the package was reorganised, and the aim. `--names`
lists duplicate names and small files; `--phrases` lists the lines of a folder whose words are to
be replaced. Nothing is enforced.
"""

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "megabase"
SMALL = 40
ALGORITHMIC = (
    "ops/*.py", "ops/*.c", "ops/*.h", "model/hyena.py", "model/positions.py", "model/cache.py",
    "model/past.py", "model/streaming.py", "inference/choices.py",
    "inference/generation.py", "inference/likelihood.py", "inference/scores.py",
    "genome/constraint.py", "metrics/leaks.py", "metrics/bootstrap.py", "metrics/markov.py",
    "data/training_windows.py",
)  # fmt: skip
TEXTS = (".py", ".md", ".c", ".h", ".yaml", ".toml")
FIRST_WORDS = ("Give", "Say", "Tell", "Name", "Whoever")
PHRASES = re.compile(
    r"\bmade again\b|(?<!there )\b(?:is|are) no\b|\bnone of\b|\brivals?\b|\btold apart\b"
    r"|\bstands? beside\b|\buntouched\b|\basked for\b|\bwhere there is none\b|\banew\b|\bmended?\b"
    r"|\bAs of `",
    re.IGNORECASE,
)


def modules() -> list[Path]:
    """Return the Python files of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file."""
    return path.read_text(encoding="utf-8").splitlines()


def folder_of(path: Path) -> str:
    """Return the first folder below the package; that of a file directly in it is its name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def arrows() -> set[tuple[str, str]]:
    """Return the pairs of folders of which the first imports from the second."""
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                parts = name.split(".")
                if parts[0] == "megabase" and len(parts) > 1 and parts[1] != folder_of(path):
                    found.add((folder_of(path), parts[1]))
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    return {pair for pair in found if set(pair) <= folders}


def duplicates(names: Counter[str]) -> list[str]:
    """Return the names that occur more than once."""
    return sorted(name for name, n in names.items() if n > 1)


def duplicate_files() -> list[str]:
    """Return file names that occur twice outside cli/, package markers left out."""
    names = (path.name for path in modules() if folder_of(path) != "cli")
    return duplicates(Counter(name for name in names if name != "__init__.py"))


def duplicate_classes() -> list[str]:
    """Return names of classes that are defined twice, private ones included."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in modules())
    nodes = (node for tree in trees for node in ast.walk(tree))
    return duplicates(Counter(node.name for node in nodes if isinstance(node, ast.ClassDef)))


def small_files() -> list[str]:
    """Return the files of fewer than 40 lines, package markers left out."""
    return [
        f"{path.relative_to(PACKAGE)} {len(lines_of(path))}"
        for path in modules()
        if path.name not in ("__init__.py", "__main__.py") and len(lines_of(path)) < SMALL
    ]


def comment_share() -> float:
    """Return the share of lines of algorithmic files that are, or end in, a comment."""
    files = {path for pattern in ALGORITHMIC for path in PACKAGE.glob(pattern)}
    lines = [line for path in files for line in lines_of(path) if line.strip()]
    is_comment = re.compile(r"^\s*(#|//|/\*|\*)|  # (?!noqa|fmt|pyright|type:)|\s// ")
    directive = re.compile(r"#\s*(noqa|fmt:|pyright:|type:)")
    n = sum(bool(is_comment.search(line)) and not directive.search(line) for line in lines)
    return n / max(len(lines), 1)


def first_words() -> int:
    """Count docstrings that begin with one of `FIRST_WORDS`."""
    n = 0
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                n += (ast.get_docstring(node) or "").startswith(FIRST_WORDS)
    return n


def phrases(folder: Path) -> Iterator[str]:
    """Yield the lines of texts in which one of `PHRASES` stands."""
    for path in sorted(folder.rglob("*")):
        if (
            path.suffix in (".py", ".md", ".c", ".h", ".yaml", ".toml")
            and "_build" not in path.parts
        ):
            for number, line in enumerate(lines_of(path), start=1):
                if PHRASES.search(line):
                    yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def figures() -> Iterator[tuple[str, str, str, str]]:
    """Yield each figure: its name, its value before the reorganisation, now, and the aim."""
    files = modules()
    n_lines = sum(len(lines_of(path)) for path in files)
    yield "Python files", "251", f"{len(files)}", "<= 150"
    yield "lines", "32,700", f"{n_lines:,}", "<= 29,000"
    yield "files with fewer than 40 lines", "36", f"{len(small_files())}", "<= 8"
    yield "lines per file, mean", "130", f"{n_lines / len(files):.0f}", "190 to 250"
    yield "arrows between folders", "42", f"{len(arrows())}", "<= 30"
    yield "file names that occur twice", "21", f"{len(duplicate_files())}", "0"
    yield "class names that occur twice", "8", f"{len(duplicate_classes())}", "0"
    yield "comments in algorithmic files", "1.3 %", f"{comment_share():.1%}", "4 to 6 %"
    yield "docstrings beginning Give, Say, ...", "335", f"{first_words()}", "0"
    yield "lines with private phrases, src", "-", f"{sum(1 for _ in phrases(PACKAGE))}", "0"
    yield "lines with private phrases, docs", "-", f"{sum(1 for _ in phrases(ROOT / 'docs'))}", "0"


def main() -> None:
    """Print what was requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", action="store_true", help="list duplicate names, small files")
    parser.add_argument("--phrases", type=Path, help="list lines of a folder to be rewritten")
    options = parser.parse_args()
    if options.phrases:
        sys.stdout.writelines(f"{line}\n" for line in phrases(options.phrases.absolute()))
        return
    for name, before, now, aim in [("", "before", "now", "aim"), *figures()]:
        print(f"{name:<38}{before:>10}{now:>10}   {aim}")
    if options.names:
        for what in (duplicate_files(), duplicate_classes(), small_files()):
            print("\n" + "\n".join(what))


if __name__ == "__main__":
    main()
