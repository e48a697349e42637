"""Figures that tell where to look: long files, long functions, asserts, tests beside code.

python scripts/house.py
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONG_FILE, LONG_FUNCTION = 300, 60


def lines_of(path: Path) -> int:
    """Count the lines that are not blank."""
    return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())


def look(path: Path) -> list[str]:
    """Name what is long or asserts in one file of the package."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = path.relative_to(ROOT)
    found = [f"{name}: {lines_of(path)} lines"] if lines_of(path) > LONG_FILE else []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            found += [f"{name}: {node.name} has {length} lines"] if length > LONG_FUNCTION else []
        if isinstance(node, ast.Assert):
            found.append(f"{name}: assert in line {node.lineno}")
    return found


if __name__ == "__main__":
    package = sorted((ROOT / "src").rglob("*.py"))
    tests = sorted((ROOT / "tests").rglob("*.py"))
    code, test = sum(map(lines_of, package)), sum(map(lines_of, tests))
    print(f"{len(package)} files of code, {code:,} lines; {len(tests)} of tests, {test:,} lines")
    print(f"test lines per code line: {test / code:.2f}")
    for path in package:
        for finding in look(path):
            print(finding)
