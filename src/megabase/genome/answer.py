"""Letters that stand for classes where a language model answers in its own letters."""

from megabase.errors import InputError

_LETTERS = {2: "AN", 3: "AGN", 4: "ACGT", 5: "ACGTN"}


def answer_letters(n_classes: int) -> str:
    """Give a letter for each class: A and N for two, A, G and N for three, as HyenaDNA has it.

    Parameters
    ----------
    n_classes
        From 2 to 5; four have the four bases, and five N besides.

    Raises
    ------
    InputError
        If there are fewer or more.
    """
    if n_classes not in _LETTERS:
        raise InputError(
            f"a model answers in its five letters, for 2 to 5 classes; got {n_classes}"
        )
    return _LETTERS[n_classes]
