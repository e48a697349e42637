"""Labels that are written in several ways, or stand for a missing one."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from unicodedata import normalize

from megabase.errors import InputError

LABEL_TEXTS = ("checked", "exact", "merge")
"""What becomes of labels that differ in blanks, case, quotes or the form of a number only: an
error; classes of their own; or one class."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MISSING = {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "nan", "NaN", "NAN", "NaT", "null", "NULL"}
_MOST_LISTED = 5


def label_key(text: str) -> str:
    """Return what labels have in common that are written in several ways.

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
    """Raise an InputError if labels may be one that is written in several ways, or be missing.

    Parameters
    ----------
    labels
        Each label with the number of its row, from 1.
    name
        What to call the table in the error.
    """
    counts = Counter(text for _, text in labels)
    first: dict[str, int] = {}
    for row, text in labels:
        first.setdefault(text, row)

    def described(texts: Iterable[str]) -> str:
        listed = sorted(texts, key=lambda text: first[text])
        shown = [
            f"{text!r} ({counts[text]:,} rows, the first is row {first[text]:,})"
            for text in listed[:_MOST_LISTED]
        ]
        return ", ".join([*shown, *(["..."] if len(listed) > _MOST_LISTED else [])])

    if missing := [text for text in counts if text.strip().strip('"') in _MISSING]:
        raise InputError(
            f"{name}: labels may be missing: {described(missing)}; remove these rows, or take "
            "--label-text exact, with which this is a label like others"
        )
    ways: dict[str, list[str]] = {}
    for text in counts:
        ways.setdefault(label_key(text), []).append(text)
    if several := [text for texts in ways.values() if len(texts) > 1 for text in texts]:
        raise InputError(
            f"{name}: labels are written in several ways: {described(several)}; correct the table, "
            "or take --label-text merge, with which they are one, or exact, with which each is a "
            "class of its own"
        )


def merged(texts: Iterable[str]) -> dict[str, str]:
    """Return for the key of each label the way in which it is written most often.

    Examples
    --------
    >>> sorted(merged(["1", "1.0", "1", "pos ", "Pos"]).items())
    [('1.0', '1'), ('pos', 'pos')]
    """
    counts = Counter(text.strip() for text in texts)
    return {label_key(text): text for text, _ in reversed(counts.most_common())}
