"""The mean label of the word around each base, drawn towards the mean of all: Eq. base-words."""

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.metrics.kmers import PRIOR, fit_base_words


def of(letters: str) -> np.ndarray:
    return np.array(["ACGTN".index(letter) for letter in letters], dtype=np.uint8)


def test_the_share_of_each_class_by_hand() -> None:
    """Four A, three of them of class 1, one C of class 0; N and uncounted bases teach nothing."""
    part = [of("AAAACNA")], [np.array([1, 1, 1, 0, 0, 1, -100])]
    fitted = fit_base_words(part, part, n_classes=2, ks=[1])
    mean = 4 / 6  # N counts, although it has no word
    of_a = (3 + PRIOR * mean) / (4 + PRIOR)
    answers = fitted.predict([of("AN"), of("T")])
    np.testing.assert_allclose(answers[:, 1], [of_a, mean, mean])
    np.testing.assert_allclose(answers.sum(axis=1), 1)


def test_values_have_one_column_and_nan_does_not_count() -> None:
    part = [of("ACAC")], [np.array([1.0, np.nan, 1.0, 3.0], dtype=np.float32)]
    fitted = fit_base_words(part, part, ks=[1])
    mean = 5 / 3
    np.testing.assert_allclose(
        fitted.predict([of("AC")]),
        [(2 + PRIOR * mean) / (2 + PRIOR), (3 + PRIOR * mean) / (1 + PRIOR)],
    )


def test_validation_chooses_the_informative_length() -> None:
    """The class is whether the base to the right is G: words of three tell, of one do not."""
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), size=4000))
    labels = np.array([int(after == "G") for after in letters[1:]] + [0])
    train = [of(letters[:3000])], [labels[:3000]]
    validation = [of(letters[3000:])], [labels[3000:]]
    fitted = fit_base_words(train, validation, n_classes=2)
    assert fitted.k == 3
    assert (fitted.predict(validation[0]).argmax(axis=1) == validation[1][0]).mean() > 0.99


def test_even_words_have_no_centre() -> None:
    part = [of("AC")], [np.array([0, 1])]
    with pytest.raises(InputError, match="each odd"):
        fit_base_words(part, part, n_classes=2, ks=[2])
