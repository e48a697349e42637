"""Read the labelled tables of a run as training, validation and test splits."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float64, Int64

from megabase.data.label_track import LabelTrack, open_label_track
from megabase.data.labelled_dataset import BaseLabels, Examples
from megabase.data.labels import Labels, joined
from megabase.data.splits import (
    grouped_split,
    joined_groups,
    strand_key,
    strata_of_labels,
    strata_of_values,
)
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.io.derived_files import file_sha256
from megabase.io.genome_file import open_reference
from megabase.io.sequence_table import Record, SequenceTable, class_files
from megabase.metrics.task_metrics import Kind
from megabase.runtime.location import cache_folder, genome_path
from megabase.training.run_config import FinetuneConfig

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledData:
    """Labelled sequences of the three splits, and the meaning of their labels.

    Parameters
    ----------
    labels
        The meaning of the labels, inferred from training.
    training, validation
        The rows to learn from, and those for early stopping and selection.
    test
        The rows that are measured at the end; None if absent.
    test_rows
        The rows of the test table as read.
    test_places
        The interval of each test row in the genome; None if the tables contain sequences.
    test_name
        Name of the test table in an error.
    context_length
        Context of the model in tokens.
    label_groups
        For multilabel data: the columns of each named group of labels that is also measured
        separately.
    """

    labels: Labels
    training: Examples
    validation: Examples
    test: Examples | None
    test_rows: list[dict[str, str]]
    context_length: int
    test_name: str = "test"
    test_places: list[Interval] | None = None
    label_groups: Mapping[str, Sequence[int]] | None = None

    @property
    def kind(self) -> Kind:
        """Kind of the task in the terms of `metrics.task_metrics`."""
        if self.labels.is_multilabel:
            return "multilabel"
        if self.labels.is_regression:
            return "regression"
        return "binary" if self.labels.n_outputs == 2 else "multiclass"

    @property
    def held_out(self) -> Examples:
        """The test split, or the validation split if there is no test split."""
        return self.validation if self.test is None else self.test

    @property
    def held_out_name(self) -> str:
        """``"test"`` or ``"validation"``: which split `held_out` is."""
        return "validation" if self.test is None else "test"

    @property
    def longest(self) -> int:
        """Number of tokens of the longest training sequence."""
        return int(self.training.lengths().max())

    def parts(self) -> list[Examples]:
        """Return training, validation, and the test split if there is one."""
        return [self.training, self.validation, *([] if self.test is None else [self.test])]

    def class_weights(self) -> Float64[np.ndarray, " class"]:
        """Return class weights under which each class has the same total weight in training.

        The mean weight over rows or bases is 1. A class that is absent from training has weight 1.

        Raises
        ------
        InputError
            If the labels are values or multilabel, which have no single class to weight.
        """
        if self.labels.is_multilabel or self.labels.is_regression:
            what = "values" if self.labels.is_regression else "several labels"
            raise InputError(
                f"class_weights=balanced needs one class for each row or base, got {what}; leave "
                "it out"
            )
        counts = self.class_counts()
        shared = counts.sum() / np.count_nonzero(counts)
        return np.where(counts > 0, shared / np.maximum(counts, 1), 1.0)

    def class_counts(self) -> Int64[np.ndarray, " class"]:
        """Count the training rows, or bases, of each class or label."""
        targets = self.training.targets()
        if self.labels.is_multilabel:
            return targets.sum(axis=0, dtype=np.int64)
        return np.bincount(targets, minlength=len(self.labels.classes))


def read_labelled(config: FinetuneConfig, context_length: int | None) -> LabelledData:
    """Read the tables of a run; hold out validation from training if it is not given.

    Parameters
    ----------
    config
        The configuration of the run.
    context_length
        Context of the model in tokens; None: the length of the longest sequence of training
        and validation.

    Raises
    ------
    InputError
        If a table is invalid, or contains labels that do not occur in training.
    """
    reader = _Reader(config, context_length)
    records = reader.read(config.train)
    labels = reader.learn(records, config.train)
    whole = reader.examples(records, labels, config.train)
    if config.validation is None:
        training, validation = part_validation(
            whole, labels, fraction=config.validation_fraction, seed=config.seed,
            places=places_of(records) if labels.per_base else None,
        )  # fmt: skip
    else:
        training = whole
        records = reader.read(config.validation)
        validation = reader.examples(records, labels, config.validation)
    longest = int(max(training.lengths().max(), validation.lengths().max()))
    reader.context_length = context_length = context_length or longest
    test, records = None, list[Record]()
    if config.test is not None:
        records = reader.read(config.test)
        test = reader.examples(records, labels, config.test)
    data = LabelledData(
        labels, training, validation, test, [record.row for record in records], context_length,
        str(config.test), places_of(records),
    )  # fmt: skip
    _log.info(
        "%s: %s rows to learn from, %s for validation, %s for the test; %s", data.kind,
        f"{len(training):,}", f"{len(validation):,}", f"{len(test or ()):,}",
        _counted(data) if labels.classes else f"mean {labels.mean:.4g}",
    )  # fmt: skip
    return data


def hashes(config: FinetuneConfig) -> dict[str, str]:
    """Return the SHA-256 of each file that a run reads, by its key in the configuration.

    The files of a folder of classes have the keys ``key/FILE``.
    """
    named: Mapping[str, str | None] = {
        "train": config.train, "validation": config.validation, "test": config.test,
        "labels": config.labels,
    }  # fmt: skip
    found = {key: Path(name) for key, name in named.items() if name is not None}
    if config.genome is not None:
        found["genome"] = genome_path(config.genome)
    for key in [key for key, path in found.items() if path.is_dir() and key != "genome"]:
        files = class_files(found.pop(key)).values()
        found |= {f"{key}/{file.name}": file for file in files}
    for path in found.values():
        if not path.is_file():
            raise InputError(f"there is no file {path}")
    return {key: file_sha256(path) for key, path in found.items()}


def _kind_of(config: FinetuneConfig) -> str:
    """Return the kind of labels; file names in a folder are classes even if they are numbers."""
    is_folder = Path(config.train).is_dir()
    return "classification" if is_folder and config.kind == "auto" else config.kind


class _Reader:
    """Reads labelled tables under one context length, which may be set after the first tables."""

    def __init__(self, config: FinetuneConfig, context_length: int | None) -> None:
        self.context_length = context_length
        self._config = config
        self._reference: Reference | None = None
        self._track: LabelTrack | None = None
        if config.genome is not None:
            self._reference = open_reference(genome_path(config.genome), cache=cache_folder())
            if config.labels is not None:
                self._track = open_label_track(Path(config.labels), self._reference)

    def read(self, name: str) -> list[Record]:
        """Return the rows of a table."""
        config = self._config
        columns = [] if self._track else config.label_columns or [config.label_column]
        table = SequenceTable(
            Path(name), columns=columns, reference=self._reference, crop=config.crop,
            sequence_column=config.sequence_column, delimiter=config.delimiter,
            list_columns=[config.label_column] if config.kind == "multilabel" else [],
            context_length=self.context_length, n_prompt_tokens=config.n_prompt_tokens,
            seed=config.seed,
        )  # fmt: skip
        return list(table.records())

    def learn(self, records: list[Record], name: str) -> Labels:
        """Infer the meaning of the labels from the training rows."""
        if self._track is not None:
            labels = _of_bases(self._track, records)
            return Labels.from_bases(labels, self._track.classes, name=name)
        if self._config.label_columns:
            return Labels(self._config.label_columns, is_multilabel=True)
        texts = self._texts(records, name)
        return Labels.from_training(
            texts, kind=_kind_of(self._config), name=name, label_text=self._config.label_text
        )

    def examples(self, records: list[Record], labels: Labels, name: str) -> Examples:
        """Combine sequences and labels into examples."""
        sequences = [record.tokens for record in records]
        if self._track is None:
            return Examples(sequences, labels.encode(self._texts(records, name), name=name))
        found = Examples(sequences, _of_bases(self._track, records))
        n_counted = len(found.targets())
        if not n_counted:
            raise InputError(f"no base of {name} has a label in {self._config.labels}")
        n_bases = int(found.lengths().sum())
        _log.info("%s: %s of %s bases have a label", name, f"{n_counted:,}", f"{n_bases:,}")
        return found

    def _texts(self, records: list[Record], name: str) -> list[str]:
        columns = self._config.label_columns
        return [
            joined(record.row, columns, name=f"{name}, row {number}")
            if columns
            else record.row[self._config.label_column]
            for number, record in enumerate(records, start=1)
        ]


def places_of(records: Sequence[Record]) -> list[Interval] | None:
    """Return the interval of each row in the genome; None if the rows have no intervals."""
    places = [record.place for record in records if record.place is not None]
    return places if len(places) == len(records) else None


def _of_bases(track: LabelTrack, records: Sequence[Record]) -> list[BaseLabels]:
    return [track.fetch(place) for place in places_of(records) or ()]


def part_validation(
    whole: Examples,
    labels: Labels,
    *,
    fraction: float,
    seed: int,
    places: Sequence[Interval] | None = None,
) -> tuple[Examples, Examples]:
    """Split validation from training so that no sequence is in both, on either strand.

    The split is stratified by `strata_of`.

    Parameters
    ----------
    whole
        All rows that are to be split.
    labels
        The meaning of their labels.
    fraction
        Fraction of the rows for validation.
    seed
        Seed of the draw.
    places
        The interval of each row; overlapping rows stay in one split. None: not considered.

    Returns
    -------
    training, validation
        Every row is in exactly one of them.

    Raises
    ------
    InputError
        If there are too few rows, or the rows of a split have no labelled base.
    """
    groups: Sequence[Hashable] = [strand_key(tokens) for tokens in whole.sequences]
    if places is not None:
        groups = joined_groups(groups, places)
    strata = strata_of(whole, labels)
    training, validation = grouped_split(groups, strata, fraction=fraction, seed=seed)
    _log.info(
        "%s of %s rows are validation; no sequence or reverse complement is in both splits",
        f"{len(validation):,}", f"{len(whole):,}",
    )  # fmt: skip
    parts = whole.part(training), whole.part(validation)
    for name, part in zip(("training", "validation"), parts, strict=True):
        if not len(part.targets()):
            raise InputError(
                f"the {len(part):,} rows that were drawn for {name} have no labelled base; label "
                "more bases, or give separate validation rows (--validation)"
            )
    return parts


def strata_of(whole: Examples, labels: Labels) -> Sequence[int]:
    """Return the stratum of each row: its class, its rarest label, or a quantile of its value.

    If each base has a label, the value of a row is its mean, or its fraction of bases that are
    not of class 0.
    """
    if isinstance(whole.labels, np.ndarray):
        if labels.is_multilabel:
            return strata_of_labels(whole.labels)
        values = whole.labels.tolist()
        return strata_of_values(values) if labels.is_regression else cast("Sequence[int]", values)
    of_rows = [
        float(np.nan_to_num(each, nan=labels.mean).mean())
        if labels.is_regression
        else float(np.mean(each > 0))
        for each in whole.labels
    ]
    return strata_of_values(of_rows, n_strata=max(1, min(10, len(of_rows) // 10)))


def _counted(data: LabelledData) -> str:
    counts = data.class_counts()
    what = "labels" if data.labels.is_multilabel else "classes"
    shown = [f"{name} ({n:,})" for name, n in zip(data.labels.classes, counts, strict=True)]
    return f"{what} {', '.join(shown[:8])}{', ...' if len(shown) > 8 else ''}"
