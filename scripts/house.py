"""Figures of the architecture: sizes, imports, names, language, comments, files on a path.

python scripts/house.py [--walks] [--suite FILE] [--names] [--verbose] [--phrases FOLDER]

Each figure is printed next to what it was before the package was reorganised, and the aim.
Nothing is enforced. `--names` lists duplicate names and small files; `--phrases` lists the lines
of a folder whose words are to be replaced.

`--walks` runs two tiny jobs on a CPU, in a temporary folder, with `sys.setprofile`, and counts the
files of src/megabase of which a function is called while the work is done (`--verbose` lists them):

- A VCF record: two records are scored with the shipped model on a random genome, from the start of
  `Pipeline._fill`, which reads the records, scores them and saves them in the journal, to its end;
  and while `write_vcf` writes their lines.
- A pretraining batch: while `StepWindows` draws the windows of a step, while `training_step`
  computes loss and gradient, and while the optimizer updates the weights.

Only the last of two or more calls of these functions counts: nothing is then imported, compiled or
cached for the first time. What is done once for a file or a run does not count: options, loading,
the survey of the VCF file, headers, plans, validation, checkpoints; nor do C files and libraries.
"Without the network" leaves out model/ and ops/. The figures before the reorganisation were counted
by reading, 45 with set-up; in that version this script finds 31 (16 without the network) and 26.

`--suite` reads the duration of the test suite from a file of results, which
`make test PYTEST_ADDOPTS=--junitxml=FILE` writes.
"""

import argparse
import ast
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from xml.etree import ElementTree

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
    # "There is no X" and "is no better than" are ordinary English; "X is no Y" is not.
    r"\bmade again\b|(?<!there )\b(?:is|are) no (?!more\b|better\b|longer\b)|\brivals?\b"
    r"|\btold(?: apart)?\b|\bstands? beside\b|\buntouched\b|(?<!in )\basked for\b"
    r"|\bwhere there is none\b|\banew\b|\bmend(?:s|ed)?\b|\bAs of `"
    r"|(?<!there )\b(?:is|are|were) (?:said|(?-i:none))\b|\bis not there\b",
    re.IGNORECASE,
)
WALKS = ("Pipeline._fill", "write_vcf"), (
    "StepWindows.__getitem__", "PretrainTrainer.training_step", "AcceleratedOptimizer.step",
)  # fmt: skip
NETWORK = ("model/", "ops/")


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
        if path.suffix in TEXTS and "_build" not in path.parts:
            for number, line in enumerate(lines_of(path), start=1):
                if PHRASES.search(line):
                    yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_names() -> Iterator[str]:
    """Yield the names of test functions in which one of `PHRASES` stands."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            if PHRASES.search(name.replace("_", " ")):
                yield f"{path.relative_to(ROOT)}: {name}"


def engines() -> list[str]:
    """Return the ways to compute a layer between which `ops/backends.py` chooses."""
    for node in ast.parse((PACKAGE / "ops" / "backends.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ENGINES":
            return [name for name in ast.literal_eval(node.value) if name != "auto"]
    raise SystemExit("ENGINES is not defined in ops/backends.py; update `engines` of this script")


def files_passed(work: Callable[[], None], functions: Sequence[str]) -> list[str]:
    """Do some work; return the files of the package that the last call of each function uses.

    Functions are qualified names, in any library; none is a generator or calls another of them.
    """
    files: dict[str, set[str]] = {}
    running: list[FrameType] = []

    def on_event(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call":
            if code.co_qualname in functions:
                files[code.co_qualname] = set()
                running.append(frame)
            path = Path(code.co_filename)
            # Libraries look for optional modules at every step, which the hook of imports sees.
            if running and PACKAGE in path.parents and path.name != "import_hook.py":
                files[running[-1].f_code.co_qualname].add(path.relative_to(PACKAGE).as_posix())
        elif event == "return" and running and frame is running[-1]:
            running.pop()

    sys.setprofile(on_event)
    try:
        work()
    finally:
        sys.setprofile(None)
    if missing := [name for name in functions if name not in files]:
        raise SystemExit(f"{', '.join(missing)} was not called; update WALKS of this script")
    return sorted(set().union(*files.values()))


def walk_record(folder: Path, letters: str) -> None:
    """Score two VCF records on a genome, twice."""
    from megabase.pipelines.pipeline import RunOptions  # noqa: PLC0415 as below
    from megabase.pipelines.score_vcf import score_vcf  # noqa: PLC0415 as below

    columns = "CHROM POS ID REF ALT QUAL FILTER INFO".split()
    lines = ["##fileformat=VCFv4.2", "#" + "\t".join(columns)]
    for position in (5_000, 10_000):
        ref = letters[position - 1]
        lines.append(f"chr1\t{position}\t.\t{ref}\t{'C' if ref == 'A' else 'A'}\t.\t.\t.")
    (folder / "in.vcf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    genome, source = str(folder / "genome.fa"), str(folder / "in.vcf")
    for name in ("first.vcf", "second.vcf"):
        score_vcf("asset:default", genome, source, folder / name, options=RunOptions(device="cpu"))


def walk_batch(folder: Path, letters: str) -> None:
    """Pretrain for three steps on a genome."""
    del letters
    from megabase.training.pretrain import pretrain  # noqa: PLC0415 imports torch
    from megabase.training.run_config import PretrainConfig  # noqa: PLC0415 as above

    config = PretrainConfig(
        genome=str(folder / "genome.fa"), context_length=256, tokens_per_step=1024, steps=3,
        device="cpu",
    )  # fmt: skip
    pretrain(config, folder / "model")


def walks() -> list[list[str]]:
    """Return the files that a VCF record passes through, and those of a pretraining batch."""
    letters = "".join(random.Random(0).choices("ACGT", k=20_000))
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MEGABASE_CACHE"] = str(folder / "cache")
        (folder / "genome.fa").write_text(f">chr1\n{letters}\n", encoding="utf-8")
        return [
            files_passed(lambda work=work: work(folder, letters), functions)
            for work, functions in zip((walk_record, walk_batch), WALKS, strict=True)
        ]


def suite_seconds(results: Path) -> float:
    """Return the duration of the test suite, from a file that pytest wrote with ``--junitxml``."""
    return sum(float(each.get("time", 0)) for each in ElementTree.parse(results).iter("testsuite"))


def figures(paths: Sequence[list[str]], suite: Path | None) -> Iterator[tuple[str, str, str, str]]:
    """Yield each figure: its name, its value before the reorganisation, now, and the aim.

    `paths` is what `walks` returned, or empty; `suite` the file of `suite_seconds`, if any.
    """
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
    yield "test names with private phrases", "-", f"{sum(1 for _ in test_names())}", "0"
    yield "ways to compute a layer", "8", f"{len(engines())}", "4"
    record, batch = paths or (None, None)
    outside = record and [path for path in record if not path.startswith(NETWORK)]
    for name, passed, before, aim in (
        ("files of a VCF record, without network", outside, "14+", "<= 10"),
        ("files of a VCF record", record, "-", "-"),
        ("files of a pretraining batch", batch, "45", "<= 22"),
    ):
        yield name, before, "no --walks" if passed is None else f"{len(passed)}", aim
    duration = "not measured" if suite is None else f"{suite_seconds(suite):.0f} s"
    yield "duration of the test suite", "-", duration, "-"


def main() -> None:
    """Print what was requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", action="store_true", help="list duplicate names, small files")
    parser.add_argument("--phrases", type=Path, help="list lines of a folder to be rewritten")
    parser.add_argument("--walks", action="store_true", help="count files of a record and a batch")
    parser.add_argument("--verbose", action="store_true", help="list the files of --walks")
    parser.add_argument("--suite", type=Path, help="results of the test suite, by --junitxml")
    options = parser.parse_args()
    if options.phrases:
        sys.stdout.writelines(f"{line}\n" for line in phrases(options.phrases.absolute()))
        return
    paths = walks() if options.walks or options.verbose else []
    for name, before, now, aim in [("", "before", "now", "aim"), *figures(paths, options.suite)]:
        print(f"{name:<40}{before:>8}{now:>14}   {aim}")
    if options.names:
        for what in (duplicate_files(), duplicate_classes(), small_files(), test_names()):
            print("\n" + "\n".join(what))
    for title, passed in zip(("VCF record", "pretraining batch"), paths, strict=False):
        if options.verbose:
            print(f"\n{title}:", *passed, sep="\n  ")


if __name__ == "__main__":
    main()
