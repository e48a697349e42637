"""Each number of classes has its letters."""

import pytest

from megabase.errors import InputError
from megabase.genome.few_shot_prompt import answer_letters


@pytest.mark.parametrize(("n_classes", "letters"), [(2, "AN"), (3, "AGN"), (5, "ACGTN")])
def test_letters_are_those_of_the_paper_as_far_as_it_goes(n_classes: int, letters: str) -> None:
    assert answer_letters(n_classes) == letters


@pytest.mark.parametrize("n_classes", [1, 6])
def test_other_numbers_of_classes_have_no_letters(n_classes: int) -> None:
    with pytest.raises(InputError, match="2 to 5 classes"):
        answer_letters(n_classes)
