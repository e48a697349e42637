"""Texts that repeat a fact agree."""

import re
from collections import Counter
from pathlib import Path

import pytest
from scripts.benchmark_report import page as benchmark_page
from scripts.card_report import page as card_page
from scripts.default_model import page as default_page

import megabase
from megabase.genome.vocabulary import DNA_VOCABULARY

ROOT = Path(__file__).parents[2]
LABEL = re.compile(r":label: ([\w-]+)")


def texts(folder, pattern):
    return {path: path.read_text() for path in sorted((ROOT / folder).rglob(pattern))}


def test_each_equation_occurs_once_is_listed_and_is_tested():
    labels = Counter(
        label for text in texts("src", "*.py").values() for label in LABEL.findall(text)
    )
    tests = "".join(texts("tests", "*.py").values())
    listed = (ROOT / "docs" / "equations.md").read_text()
    assert labels
    for label, count in labels.items():
        assert count == 1, label
        assert f"{{eq}}`{label}`" in listed
        assert f"Eq. {label}" in tests


def test_the_version_is_the_same_everywhere():
    assert f"version: {megabase.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f'version = "{megabase.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_the_vocabulary_of_the_documentation_is_the_one_of_the_code():
    assert f"`{' '.join(DNA_VOCABULARY.tokens)}`" in (ROOT / "docs" / "data.md").read_text()


PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/contributing.md",
    "docs/quickstart.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (ROOT / page).parent.joinpath(target).exists(), target


def test_the_page_of_the_shipped_model_repeats_its_card():
    card = ROOT / "src" / "megabase" / "assets" / "default" / "README.md"
    assert (ROOT / "docs" / "default.md").read_text() == default_page(card.read_text())


@pytest.mark.parametrize(
    ("name", "rewritten"), [("benchmarks", benchmark_page), ("label-efficiency", card_page)]
)
def test_a_generated_page_is_what_its_script_would_write(name, rewritten):
    page = ROOT / "docs" / f"{name}.md"
    assert page.read_text() == rewritten(page.with_suffix("")), "run its script without a folder"
