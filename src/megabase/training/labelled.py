"""The labelled tables of a run: what they teach, what is held out, what is measured at the end."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float64

from megabase.data.grouped_split import either_strand, grouped_split, strata_of_values
from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.data.sequence_table import SequenceTable
from megabase.errors import InputError
from megabase.genome.reference import Reference
from megabase.io.genome_file import open_reference
from megabase.measure.metrics import Kind
from megabase.model.padding import TokenArray
from megabase.run.location import cache_folder, genome_path
from megabase.run.provenance import file_sha256
from megabase.training.config import FinetuneConfig

_log = logging.getLogger(__name__)

LABEL = "label"
"""The column of labels."""


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
    test_name
        What to call them in an error.
    context_length
        Of the model.
    """

    labels: Labels
    training: Examples
    validation: Examples
    test: Examples | None
    test_rows: list[dict[str, str]]
    context_length: int
    test_name: str = "test"

    @property
    def kind(self) -> Kind:
        """What `measure.metrics` calls such a task."""
        if self.labels.is_regression:
            return "regression"
        return "binary" if self.labels.n_outputs == 2 else "multiclass"

    def class_weights(self) -> Float64[np.ndarray, " class"]:
        """Give weights under which each class counts the same, 1 for the mean row."""
        counts = np.bincount(self.training.labels, minlength=len(self.labels.classes))
        return len(self.training) / (len(counts) * np.maximum(counts, 1))


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
    _, sequences, texts = reader.read(config.train)
    labels = Labels.from_training(texts, kind=config.kind, name=config.train)
    whole = Examples(sequences, labels.encode(texts, name=config.train))
    if config.validation is None:
        training, validation = part_validation(
            whole, labels, fraction=config.validation_fraction, seed=config.seed
        )
    else:
        training = whole
        _, sequences, texts = reader.read(config.validation)
        validation = Examples(sequences, labels.encode(texts, name=config.validation))
    longest = int(max(training.lengths().max(), validation.lengths().max()))
    reader.context_length = context_length = context_length or longest
    test, rows = None, list[dict[str, str]]()
    if config.test is not None:
        rows, sequences, texts = reader.read(config.test)
        test = Examples(sequences, labels.encode(texts, name=config.test))
    data = LabelledData(labels, training, validation, test, rows, context_length, str(config.test))
    _log.info(
        "%s: %s rows to learn from, %s for validation, %s for the test; %s", data.kind,
        f"{len(training):,}", f"{len(validation):,}", f"{len(test or ()):,}",
        f"classes {_counted(data)}" if labels.classes else f"mean {labels.mean:.4g}",
    )  # fmt: skip
    return data


def hashes(config: FinetuneConfig) -> dict[str, str]:
    """Hash the files that a run reads, by the key of the configuration that names each."""
    named: Mapping[str, str | None] = {
        "train": config.train, "validation": config.validation, "test": config.test,
    }  # fmt: skip
    found = {key: Path(name) for key, name in named.items() if name is not None}
    if config.genome is not None:
        found["genome"] = genome_path(config.genome)
    for path in found.values():
        if not path.is_file():
            raise InputError(f"there is no file {path}")
    return {key: file_sha256(path) for key, path in found.items()}


class _Reader:
    """Reads tables with labels under one context length, which may come to be known later."""

    def __init__(self, config: FinetuneConfig, context_length: int | None) -> None:
        self.context_length = context_length
        self._config = config
        self._reference: Reference | None = None
        if config.genome is not None:
            self._reference = open_reference(genome_path(config.genome), cache=cache_folder())

    def read(self, name: str) -> tuple[list[dict[str, str]], list[TokenArray], list[str]]:
        """Give rows, tokens and labels of a table."""
        table = SequenceTable(
            Path(name), columns=[LABEL], reference=self._reference, crop=self._config.crop,
            context_length=self.context_length, n_prompt_tokens=self._config.n_prompt_tokens,
            seed=self._config.seed,
        )  # fmt: skip
        records = list(table.records())
        rows = [record.row for record in records]
        return rows, [record.tokens for record in records], [row[LABEL] for row in rows]


def part_validation(
    whole: Examples, labels: Labels, *, fraction: float, seed: int
) -> tuple[Examples, Examples]:
    """Part validation from training, so that no sequence is in both on either strand.

    Parameters
    ----------
    whole
        All rows that may be learnt from.
    labels
        What their labels mean: classes, or ranges of values, are in both parts alike.
    fraction
        Of the rows, for validation.
    seed
        Fixes the draw.

    Returns
    -------
    training, validation
        Together all rows.
    """
    values = whole.labels.tolist()
    strata = strata_of_values(values) if labels.is_regression else cast("Sequence[int]", values)
    training, validation = grouped_split(
        [either_strand(tokens) for tokens in whole.sequences], strata,
        fraction=fraction, seed=seed,
    )  # fmt: skip
    _log.info(
        "%s of %s rows are validation; no sequence or reverse complement is on both sides",
        f"{len(validation):,}", f"{len(whole):,}",
    )  # fmt: skip
    return whole.part(training), whole.part(validation)


def _counted(data: LabelledData) -> str:
    counts = np.bincount(data.training.labels, minlength=len(data.labels.classes))
    shown = [f"{name} ({n:,})" for name, n in zip(data.labels.classes, counts, strict=True)]
    return ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "")
