"""Describe a benchmark as data, independent of how it is run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from megabase.errors import InputError
from megabase.metrics.results import METRICS, Published

KINDS: Mapping[str, tuple[str, ...]] = {
    "binary": ("accuracy", "mcc", "f1_macro", "f1_weighted", "auroc", "auprc"),
    "multiclass": ("accuracy", "mcc", "f1_macro", "f1_weighted"),
    "multilabel": ("auroc_median", "auprc_median"),
    "regression": ("spearman", "pearson", "r2"),
    "per_base": ("accuracy", "mcc", "f1_macro", "f1_weighted"),
}
"""The kinds of task, and the metrics that fit each."""

LAYOUTS: Mapping[str, str] = {
    "labelled": "rows of a sequence and a label: tables, FASTA with `|label`, a folder per class",
    "deepsea": "CSV without header: letters, then a 0 or 1 for each label",
    "alignment": "MAF of several species; windows are cut from alignment blocks",
    "genomes": "a FASTA file for each class; windows are cut from contigs",
    "splice_triples": "lines of exon, intron, exon, count and gene",
    "annotation": "a genome and tables of its exons and coding sequences",
    "genes": "a genome and a table of its genes with their biotypes",
}
"""The file layouts of tasks, with a description of each; `task_data` reads them."""

SPLITS = ("train", "validation", "test")

_STRICT = {"extra": "forbid"}
"""How pydantic reads these values from files of statements: an unknown key is an error."""


@dataclass(frozen=True)
class TaskSource:
    """The source of a task.

    Parameters
    ----------
    paper
        Publication that describes the task.
    url
        Address of its files; empty if they are not published.
    licence
        Licence as stated by the publisher, or a note that none is stated.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = _STRICT
    paper: str
    url: str
    licence: str


@dataclass(frozen=True)
class LabelGroup:
    """Labels ``start <= label < end`` of a multi-label task that share one metric."""

    __pydantic_config__: ClassVar[Mapping[str, str]] = _STRICT
    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Task:
    """A benchmark as data.

    Parameters
    ----------
    name
        Name in the form ``group/set``.
    title
        What the task predicts, for readers.
    kind
        One of `KINDS`.
    metric
        The main metric, one of those of the kind.
    source
        Paper, address and licence.
    layout
        One of `LAYOUTS`.
    classes
        Names of the classes in the order of their numbers. Labels are read as these names or as
        their numbers, never by the order of files. Empty for a regression, or if the training
        rows define the classes.
    folders
        Names that the folder of the task may have inside the data folder.
    files
        File name pattern of each role; empty if the layout defines the names.
    sequence_columns, label_columns
        Columns of a table; the first one that its header has is used.
    hub_id, hub_folder
        Dataset on the Hugging Face hub, and the folder in it; empty if absent.
    published_rows
        Published number of rows of each split; None if the source does not state it. A split
        that is not listed is not published.
    sha256
        The `task_files.digest` of published splits whose complete rows were available.
    median_length
        Published median length of a row, in bp.
    length
        Length in bp of the central part of each row, or of the windows to cut; None: rows are
        used unmodified.
    test_contigs, validation_contigs
        Contigs of these splits, if the split is by contig.
    label_groups
        Groups of the labels of a multi-label task.
    aliases
        Our name of a class or contig, by its name in the files.
    label_letters
        The answer letter of each class, if labels are written as letters after the sequence.
    chunks
        Whether rows may be longer than any context. Such rows are embedded in chunks, and only
        frozen embeddings, k-mers and the majority are measured.
    published
        Numbers from the literature.
    notes
        Caveats for readers of the results.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = _STRICT
    name: str
    title: str
    kind: str
    metric: str
    source: TaskSource
    layout: str = "labelled"
    classes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=lambda: {})
    sequence_columns: tuple[str, ...] = ("sequence",)
    label_columns: tuple[str, ...] = ("label",)
    hub_id: str = ""
    hub_folder: str = ""
    published_rows: Mapping[str, int | None] = field(default_factory=lambda: {})
    sha256: Mapping[str, str] = field(default_factory=lambda: {})
    median_length: int | None = None
    length: int | None = None
    test_contigs: tuple[str, ...] = ()
    validation_contigs: tuple[str, ...] = ()
    label_groups: tuple[LabelGroup, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=lambda: {})
    label_letters: tuple[str, ...] = ()
    chunks: bool = False
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        group, slash, part = self.name.partition("/")
        if not (group and slash and part) or self.name != self.name.strip().replace(" ", "_"):
            raise InputError(f"a task name must be group/set without blanks, got {self.name!r}")
        if self.kind not in KINDS:
            raise self._error(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.layout not in LAYOUTS:
            raise self._error(f"layout must be one of {', '.join(LAYOUTS)}; got {self.layout!r}")
        self._check_metric()
        self._check_classes()
        self._check_labels()
        self._check_sizes()

    @property
    def group(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]

    @property
    def n_outputs(self) -> int | None:
        """Number of outputs of a head for a row or base; None if the rows define the classes."""
        if self.kind == "regression":
            return 1
        return self.label_groups[-1].end if self.kind == "multilabel" else len(self.classes) or None

    def _check_metric(self) -> None:
        if self.metric not in METRICS or self.metric not in KINDS[self.kind]:
            fitting = ", ".join(KINDS[self.kind])
            raise self._error(
                f"the metric of {self.kind} must be one of {fitting}; got {self.metric!r}"
            )

    def _check_classes(self) -> None:
        n = len(self.classes)
        if len(set(self.classes)) != n:
            raise self._error(f"classes must be distinct, got {', '.join(self.classes)}")
        if self.kind == "binary" and n != 2:
            raise self._error(f"binary needs two classes, got {n}")
        if self.kind in ("multiclass", "per_base") and n and n < 2:
            raise self._error(f"{self.kind} needs at least two classes, got {n}")
        if self.kind in ("regression", "multilabel") and n:
            raise self._error(f"{self.kind} must not have classes, got {', '.join(self.classes)}")

    def _check_labels(self) -> None:
        if self.label_letters and len(self.label_letters) != len(self.classes):
            raise self._error(
                f"expected {len(self.classes)} label letters, one per class, got "
                f"{self.label_letters}"
            )
        if self.chunks and self.kind == "per_base":
            raise self._error("chunks need one label per row, but per_base has one per base")
        if (self.kind == "multilabel") != bool(self.label_groups):
            raise self._error("a multilabel task needs label groups, and no other task has them")
        edge = 0
        for group in self.label_groups:
            if group.start != edge or group.end <= group.start:
                raise self._error(f"label groups must be adjacent and start at 0, got {group}")
            edge = group.end

    def _check_sizes(self) -> None:
        for split in [*self.published_rows, *self.sha256]:
            if split not in SPLITS:
                raise self._error(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
        sizes = [*self.published_rows.values(), self.median_length, self.length]
        if any(size is not None and size < 1 for size in sizes):
            raise self._error(f"numbers of rows and lengths must be at least 1, got {sizes}")

    def _error(self, problem: str) -> InputError:
        return InputError(f"task {self.name}: {problem}")
