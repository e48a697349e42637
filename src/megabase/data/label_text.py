"""Find labels that are spelled in several ways, or that stand for a missing value."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from unicodedata import normalize

from megabase.errors import InputError

LABEL_TEXTS = ("checked", "exact", "merge")
"""How labels are treated that differ only in blanks, case, quotes or the format of a number:
as an error, as separate classes, or as one class."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MISSING = {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "nan", "NaN", "NAN", "NaT", "null", "NULL"}
_MOST_LISTED = 5


def label_key(text: str) -> str:
    """Return a key that is equal for all spellings of a label.

    Spellings differ in blanks, case, surrounding quotes, Unicode form or number format.

    Examples
    --------
    >>> {label_key(text) for text in ("1", "1.0", " 1", "+1e0")}
    {'1.0'}
    >>> {label_key(text) for text in ("TF binding", "tf  binding ", '"TF binding"')}
    {'tf binding'}
    """
    plain = " ".join(normalize("NFKC", text).split())
    if len(plain) > 1 and plain[0] == plain[-1] == '"':
        plain = plain[1:-1].strip()
    return str(float(plain)) if _NUMBER.fullmatch(plain) else plain.casefold()


def check_label_texts(labels: Sequence[tuple[int, str]], *, name: str) -> None:
    """Raise an InputError if a label seems to be missing or is spelled in several ways.

    Parameters
    ----------
    labels
        Row number, from 1, and text of each label.
    name
        Name of the table in the error.
    """
    counts = Counter(text for _, text in labels)
    first: dict[str, int] = {}
    for row, text in labels:
        first.setdefault(text, row)

    def described(texts: Iterable[str]) -> str:
        listed = sorted(texts, key=lambda text: first[text])
        shown = [
            f"{text!r} ({counts[text]:,} rows, first in row {first[text]:,})"
            for text in listed[:_MOST_LISTED]
        ]
        return ", ".join([*shown, *(["..."] if len(listed) > _MOST_LISTED else [])])

    if missing := [text for text in counts if text.strip().strip('"') in _MISSING]:
        raise InputError(
            f"{name}: labels seem to be missing: {described(missing)}; remove these rows, or use "
            "--label-text exact to treat these texts as ordinary labels"
        )
    ways: dict[str, list[str]] = {}
    for text in counts:
        ways.setdefault(label_key(text), []).append(text)
    if several := [text for texts in ways.values() if len(texts) > 1 for text in texts]:
        raise InputError(
            f"{name}: labels are spelled in several ways: {described(several)}; correct the table, "
            "or use --label-text merge to merge them into one class, or --label-text exact to make "
            "each a separate class"
        )


def merged(texts: Iterable[str]) -> dict[str, str]:
    """Return the most frequent spelling of each label, by the label's key.

    Examples
    --------
    >>> sorted(merged(["1", "1.0", "1", "pos ", "Pos"]).items())
    [('1.0', '1'), ('pos', 'pos')]
    """
    counts = Counter(text.strip() for text in texts)
    # Of equal keys the last entry wins, so the most frequent spelling comes last.
    return {label_key(text): text for text, _ in reversed(counts.most_common())}
