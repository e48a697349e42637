"""The reference pages agree with the command line and with the package."""

from pathlib import Path

from scripts.reference_pages import api_page, cli_page

import megabase

DOCS = Path(__file__).parents[1] / "docs"
_RUN = "run python scripts/reference_pages.py"


def test_the_page_of_the_command_line_is_what_the_script_would_write():
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert page == cli_page(), _RUN
    assert page.count("| `--deterministic` |") == 7  # every verb that computes with a model


def test_the_page_of_the_package_has_every_public_name():
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert page == api_page(), _RUN
    assert [f"## megabase.{name}" in page for name in megabase.__all__] == [True] * 11
