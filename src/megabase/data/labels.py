"""What labels mean, and labels that are written in several ways."""

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np
from jaxtyping import Shaped

from megabase.errors import InputError
from megabase.model.architecture import JOINT

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


KINDS = ("auto", "classification", "multilabel", "regression")
"""The kinds of labels."""

_MOST_NUMBERED_CLASSES = 50  # more distinct whole numbers may be counts, so the user must choose

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """The meaning of the labels of a training table.

    Parameters
    ----------
    classes
        The text of each class as written in the table, in the order of class numbers; for
        multilabel data the name of each label; empty for a regression.
    mean, scale
        Mean and standard deviation of the targets of a regression.
    per_base
        Whether each base has a label, rather than each sequence.
    is_multilabel
        Whether a row has any number of `classes`, rather than exactly one.
    is_merged
        Whether labels with the same `label_key` belong to the same class.
    """

    classes: tuple[str, ...]
    mean: float = 0.0
    scale: float = 1.0
    per_base: bool = False
    is_multilabel: bool = False
    is_merged: bool = False

    @classmethod
    def from_training(
        cls, texts: Sequence[str], *, kind: str, name: str, label_text: str = "checked"
    ) -> "Labels":
        """Infer the meaning of labels from the rows of a training table.

        Parameters
        ----------
        texts
            The label of each row.
        kind
            One of `KINDS`. ``"auto"``: numbers that are not all whole are a regression, which
            is logged; everything else is classes. ``"multilabel"``: each text is any number of
            names separated by `JOINT`.
        name
            Name of the table in an error.
        label_text
            One of `LABEL_TEXTS`: how labels that are spelled in several ways are treated.
            Unless it is ``"exact"``, a text that stands for a missing value is an error.

        Raises
        ------
        InputError
            If `kind` or `label_text` is invalid, there is only one class, all targets are
            equal, no row has a label (multilabel), or a label is missing or spelled in several
            ways.
        """
        if kind not in KINDS:
            raise InputError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
        if kind == "regression" or (kind == "auto" and _looks_like_regression(texts, name)):
            values = _numbers(texts, name)
            scale = float(values.std())
            if scale == 0:
                raise InputError(f"every target of {name} is {texts[0]}; there is nothing to learn")
            return cls((), float(values.mean()), scale)
        if kind == "multilabel":
            named = [
                (row, each)
                for row, names in enumerate(_names(texts, name), start=1)
                for each in names
            ]
            classes = in_order(_classes(named, label_text, name))
            if not classes:
                raise InputError(f"no row of {name} has a label; there is nothing to learn")
            return cls(classes, is_multilabel=True, is_merged=label_text == "merge")
        if "" in texts:
            raise InputError(f"{name}, row {texts.index('') + 1}: the label is empty")
        classes = in_order(_classes(list(enumerate(texts, start=1)), label_text, name))
        if len(classes) < 2:
            raise InputError(
                f"every label of {name} is {texts[0]!r}; a classifier needs at least two classes"
            )
        return cls(classes, is_merged=label_text == "merge")

    @classmethod
    def from_bases(
        cls, labels: Sequence[Shaped[np.ndarray, " _"]], classes: tuple[str, ...], *, name: str
    ) -> "Labels":
        """Infer the meaning of labels of bases from the training rows.

        Parameters
        ----------
        labels
            One array per row with the labels of its bases: class numbers, or values, NaN if
            absent.
        classes
            The name of each class; empty if the labels are values.
        name
            Name of the table in an error.

        Raises
        ------
        InputError
            If all bases have the same class, no base has a value, or all values are equal.
        """
        whole = np.concatenate(labels)
        if classes:
            found = np.unique(whole[whole >= 0])
            if len(found) < 2:
                named = [classes[int(number)] for number in found]
                raise InputError(
                    f"the bases of {name} have fewer than two classes: {named}; a classifier "
                    "needs at least two"
                )
            return cls(classes, per_base=True)
        known = whole[~np.isnan(whole)].astype(np.float64)
        if not len(known):
            raise InputError(f"no base of {name} has a value")
        if not known.std():
            raise InputError(f"every value in {name} is {known[0]:g}; there is nothing to learn")
        return cls((), float(known.mean()), float(known.std()), per_base=True)

    @property
    def is_regression(self) -> bool:
        """Whether labels are values, not classes."""
        return not self.classes

    @property
    def n_outputs(self) -> int:
        """Number of outputs (logits or values) that a model needs."""
        return len(self.classes) or 1

    def encode(self, texts: Sequence[str], *, name: str) -> Shaped[np.ndarray, "row ..."]:
        """Return the class number of each row, int64, or its target, float32.

        For multilabel data: 1 for each label of the row and 0 elsewhere, uint8 (row, label).

        Parameters
        ----------
        texts
            The label of each row.
        name
            Name of the table in an error.

        Raises
        ------
        InputError
            At the first label that is not a finite number, or does not occur in training.
        """
        if self.is_regression:
            return _numbers(texts, name).astype(np.float32)
        rows = _names(texts, name) if self.is_multilabel else [[text] for text in texts]
        written = label_key if self.is_merged else str
        numbers = {written(text): number for number, text in enumerate(self.classes)}
        for row, names in enumerate(rows, start=1):
            for text in names:
                if written(text) not in numbers:
                    raise InputError(self._unknown(text, f"{name}, row {row}"))
        found = [[numbers[written(text)] for text in names] for names in rows]
        if not self.is_multilabel:
            return np.array([number for (number,) in found], dtype=np.int64)
        truths = np.zeros((len(rows), len(self.classes)), dtype=np.uint8)
        for row, of_row in enumerate(found):
            truths[row, of_row] = 1
        return truths

    def _unknown(self, text: str, place: str) -> str:
        """Describe a label that is not in training, and suggest one that may be meant."""
        known = ", ".join(self.classes[:5]) + (", ..." if len(self.classes) > 5 else "")
        alike = [each for each in self.classes if label_key(each) == label_key(text)]
        remedy = (
            f"if it means {alike[0]!r}, use --label-text merge"
            if alike
            else "correct it, or add such rows to training"
        )
        return f"{place}: label {text!r} does not occur in training, which has {known}; {remedy}"


def _classes(labels: Sequence[tuple[int, str]], label_text: str, name: str) -> list[str]:
    """Check the labels, each given with its row number, and return them as names of classes."""
    if label_text not in LABEL_TEXTS:
        raise InputError(f"label_text must be one of {', '.join(LABEL_TEXTS)}; got {label_text!r}")
    texts = [text for _, text in labels]
    if label_text == "exact":
        return texts
    if label_text == "checked":
        check_label_texts(labels, name=name)
        return texts
    ways = merged(texts)
    check_label_texts([(row, ways[label_key(text)]) for row, text in labels], name=name)
    return list(ways.values())


def joined(row: Mapping[str, str], columns: Sequence[str], *, name: str) -> str:
    """Join the names of the columns that hold 1 into the text of one multilabel label.

    Parameters
    ----------
    row
        The cells of the row, by column.
    columns
        The columns of 0 and 1.
    name
        Name of the row in an error.

    Examples
    --------
    >>> joined({"CTCF": "1", "DNase": "0", "H3K4me3": "1"}, ["CTCF", "DNase", "H3K4me3"], name="")
    'CTCF;H3K4me3'

    Raises
    ------
    InputError
        If a cell is neither 0 nor 1.
    """
    for column in columns:
        if row[column] not in ("0", "1"):
            raise InputError(f"{name}: column {column!r} has {row[column]!r}; expected 0 or 1")
    return JOINT.join(column for column in columns if row[column] == "1")


def in_order(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct labels, sorted: numbers by value, texts in natural order.

    In natural order the numbers within a text count by value, so that 9 comes before 10.

    Examples
    --------
    >>> in_order(["10", "9", "-1", "9"])
    ('-1', '9', '10')
    >>> in_order(["class10", "class9", "class9"])
    ('class9', 'class10')
    """
    distinct = set(texts)
    numbers = {text: _number(text) for text in distinct}
    if all(map(math.isfinite, numbers.values())):
        return tuple(sorted(distinct, key=lambda text: (numbers[text], text)))
    return tuple(sorted(distinct, key=_as_people_count))


def _names(texts: Sequence[str], name: str) -> list[list[str]]:
    """Split each text into its names, and strip blanks around them."""
    rows = [[each.strip() for each in text.split(JOINT)] if text.strip() else [] for text in texts]
    for row, names in enumerate(rows, start=1):
        if "" in names or len(set(names)) < len(names):
            raise InputError(
                f"{name}, row {row}: the label is {texts[row - 1]!r}; expected different names "
                f"separated by {JOINT!r}, or an empty cell"
            )
    return rows


def _as_people_count(text: str) -> tuple[list[str | int], str]:
    parts = re.split(r"([0-9]+)", text)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _looks_like_regression(texts: Sequence[str], name: str) -> bool:
    distinct = set(texts)
    try:
        values = [float(text) for text in distinct]
    except ValueError:
        return False
    if all(map(float.is_integer, values)):
        if len(distinct) > _MOST_NUMBERED_CLASSES:
            raise InputError(
                f"the labels of {name} are {len(distinct):,} different whole numbers; give --kind "
                "classification or --kind regression"
            )
        return False
    _log.info("labels of %s are numbers, not all whole: treated as a regression (--kind)", name)
    return True


def _numbers(texts: Sequence[str], name: str) -> Shaped[np.ndarray, " row"]:
    for row, text in enumerate(texts, start=1):
        if not math.isfinite(_number(text)):
            raise InputError(f"{name}, row {row}: the target is {text!r}; expected a number")
    return np.array([float(text) for text in texts])
