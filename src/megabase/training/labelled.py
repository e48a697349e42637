"""The labelled tables of a run: what they teach, what is held out, what is measured at the end."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float64, Int64

from megabase.data.class_folder import class_files
from megabase.data.grouped_split import (
    either_strand,
    grouped_split,
    joined_groups,
    strata_of_labels,
    strata_of_values,
)
from megabase.data.label_track import LabelTrack, open_label_track
from megabase.data.labelled_dataset import BaseLabels, Examples
from megabase.data.labels import Labels, joined
from megabase.data.sequence_table import Record, SequenceTable
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.io.genome_file import open_reference
from megabase.measure.metrics import Kind
from megabase.run.location import cache_folder, genome_path
from megabase.run.provenance import file_sha256
from megabase.training.config import FinetuneConfig

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledData:
    """Sequences with labels, parted, and what labels mean.

    Parameters
    ----------
    labels
        As the training part has them.
    training, validation
        What is learnt, and what decides when to stop.
    test
        What is measured at the end; None if there is none.
    test_rows
        Its rows as they stand.
    test_places
        Where each stands in the genome; None if they are not of one.
    test_name
        What to call them in an error.
    context_length
        Of the model.
    label_groups
        Of many labels: the columns of each named group, which is measured by itself, too.
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
        """What `measure.metrics` calls such a task."""
        if self.labels.is_multilabel:
            return "multilabel"
        if self.labels.is_regression:
            return "regression"
        return "binary" if self.labels.n_outputs == 2 else "multiclass"

    @property
    def held_out(self) -> Examples:
        """The test, or validation where there is none."""
        return self.validation if self.test is None else self.test

    @property
    def held_out_name(self) -> str:
        """Which of the two `held_out` is."""
        return "validation" if self.test is None else "test"

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence of training."""
        return int(self.training.lengths().max())

    def parts(self) -> list[Examples]:
        """Give training, validation, and the test if there is one."""
        return [self.training, self.validation, *([] if self.test is None else [self.test])]

    def class_weights(self) -> Float64[np.ndarray, " class"]:
        """Give weights under which each class counts the same, 1 for the mean row or base.

        A class that training lacks, which validation may have, counts 1.

        Raises
        ------
        InputError
            If labels are values or several of a row: no class that it could be weighted by.
        """
        if self.labels.is_multilabel or self.labels.is_regression:
            what = "values" if self.labels.is_regression else "several labels"
            raise InputError(
                f"class_weights=balanced weights a row or base by its class, and one of {what} has "
                "none; leave it away"
            )
        counts = self.class_counts()
        shared = counts.sum() / np.count_nonzero(counts)
        return np.where(counts > 0, shared / np.maximum(counts, 1), 1.0)

    def class_counts(self) -> Int64[np.ndarray, " class"]:
        """Count the rows, or bases, of each class or label in training."""
        targets = self.training.targets()
        if self.labels.is_multilabel:
            return targets.sum(axis=0, dtype=np.int64)
        return np.bincount(targets, minlength=len(self.labels.classes))


def read_labelled(config: FinetuneConfig, context_length: int | None) -> LabelledData:
    """Read the tables of a run, and part validation from training if none is given.

    Parameters
    ----------
    config
        The run.
    context_length
        The most tokens that the model reads; None: as many as the longest sequence of
        training and validation has.

    Raises
    ------
    InputError
        If a table cannot be used, or its labels are not those of training.
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
    """Hash the files that a run reads, by the key of the configuration that names each.

    Those of a folder of classes are named ``key/FILE``.
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
    """What labels are: of a folder, whose files are classes, no number by its look."""
    is_folder = Path(config.train).is_dir()
    return "classification" if is_folder and config.kind == "auto" else config.kind


class _Reader:
    """Reads tables with labels under one context length, which may come to be known later."""

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
        """Give the rows of a table."""
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
        """Say what the labels of a table mean, from the rows of training."""
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
        """Put sequences and labels together."""
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
    """Give the place of each row; None if rows have none."""
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
    """Part validation from training, so that no sequence is in both on either strand.

    Parameters
    ----------
    whole
        All rows that may be learnt from.
    labels
        What their labels mean: classes, the rarest labels of rows with several, or ranges of
        values, are in both parts alike.
    fraction
        Of the rows, for validation.
    seed
        Fixes the draw.
    places
        Where the rows stand: those that overlap are not parted. None: not looked at.

    Returns
    -------
    training, validation
        Together all rows.

    Raises
    ------
    InputError
        If the rows of one part have no labelled base.
    """
    groups: Sequence[Hashable] = [either_strand(tokens) for tokens in whole.sequences]
    if places is not None:
        groups = joined_groups(groups, places)
    strata = strata_of(whole, labels)
    training, validation = grouped_split(groups, strata, fraction=fraction, seed=seed)
    _log.info(
        "%s of %s rows are validation; no sequence or reverse complement is on both sides",
        f"{len(validation):,}", f"{len(whole):,}",
    )  # fmt: skip
    parts = whole.part(training), whole.part(validation)
    for name, part in zip(("training", "validation"), parts, strict=True):
        if not len(part.targets()):
            raise InputError(
                f"of the {len(part):,} rows that were drawn for {name} no base has a label; give "
                "labels of more bases, or validation rows of their own (--validation)"
            )
    return parts


def strata_of(whole: Examples, labels: Labels) -> Sequence[int]:
    """Give what is to stand in both parts alike: of bases, their mean or share of a class."""
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
