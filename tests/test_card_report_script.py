"""The page of evaluation cards has the text of each card as a section, and its curve."""

import json
from pathlib import Path

from scripts.card_report import section

CARDS = Path(__file__).parents[1] / "docs" / "label-efficiency"


def test_a_card_is_a_section_of_the_page_with_its_curve():
    card = min(CARDS.glob("*.json"))
    text = section(card, "label-efficiency")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[0].startswith("## Evaluation card: genomic_benchmarks/")
    assert all(line.startswith("### ") for line in headings[1:])
    assert f"![Label efficiency](label-efficiency/{card.stem}.png)" in text
    assert card.with_suffix(".png").is_file()


def test_kept_cards_have_no_absolute_paths():
    for card in CARDS.glob("*.json"):
        assert "/" not in json.loads(card.read_text())["data"]["place"]
