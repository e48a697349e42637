"""The page of tasks agrees with the catalogue."""

from pathlib import Path

from scripts.task_tables import page as rewritten

from megabase.evaluation.tasks.catalogue import all_tasks
from megabase.evaluation.tasks.task import LAYOUTS
from megabase.metrics.results import PROTOCOLS

ROOT = Path(__file__).parents[1]


def test_the_page_is_what_the_script_would_write():
    page = (ROOT / "docs" / "tasks.md").read_text()
    assert page == rewritten(), "run python scripts/task_tables.py"
    assert all(f"`{task.name}`" in page for task in all_tasks())


def test_every_layout_and_protocol_is_documented():
    page = (ROOT / "docs" / "tasks.md").read_text()
    for name in [*LAYOUTS, *PROTOCOLS]:
        assert f"| {name.replace('_', ' ')} |" in page, name
