"""Letters that stand for classes when a language model answers in its own letters."""

from megabase.errors import InputError

_LETTERS = {2: "AN", 3: "AGN", 4: "ACGT", 5: "ACGTN"}


def answer_letters(n_classes: int) -> str:
    """Return a letter for each class, as HyenaDNA assigns them: A and N for two classes.

    Parameters
    ----------
    n_classes
        From 2 to 5. Three classes get A, G and N, four the bases, five the bases and N.

    Raises
    ------
    InputError
        If `n_classes` is not between 2 and 5.
    """
    if n_classes not in _LETTERS:
        raise InputError(f"a model can answer in its letters for 2 to 5 classes; got {n_classes}")
    return _LETTERS[n_classes]
