"""Task: what a benchmark is, apart from how it is run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from megabase.errors import InputError
from megabase.measure.published import METRICS, Published

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
"""How the files of a task may lie (`task_data` reads each)."""

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """Where a task comes from.

    Parameters
    ----------
    paper
        Who described it.
    url
        Where its files are published; empty where they are not.
    licence
        As its publisher states it, or that none is stated.
    """

    paper: str
    url: str
    licence: str


@dataclass(frozen=True)
class LabelGroup:
    """Labels ``start <= label < end`` of a multi-label task, measured together."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Task:
    """A benchmark as data.

    Parameters
    ----------
    name
        ``group/set``.
    title
        What is told from what.
    kind
        One of `KINDS`.
    metric
        The main one, which fits the kind.
    source
        Paper, address, licence.
    layout
        One of `LAYOUTS`.
    classes
        Their names in the order of their numbers; labels are read by these names, or as
        their numbers, never by the order of files. Empty for a regression, and where they
        are whatever the training rows have.
    folders
        Names that the folder of the task may have inside the folder of the data.
    files
        What each file of the folder is, and a pattern for its name; empty where the layout
        says it.
    sequence_columns, label_columns
        Of a table: the first that its header has.
    hub_id, hub_folder
        Of the Hugging Face hub, and the folder therein; empty where there is none.
    published_rows
        How many each split has as published; a split that is not named there has none.
        None where the source does not say.
    sha256
        Of the rows of splits, where we have seen the published ones (`examples.digest`).
    median_length
        In bp, as published.
    length
        In bp: the centre of each row of a table, or the windows that are cut; None: as
        they are.
    test_contigs, validation_contigs
        Of a split by contig.
    label_groups
        Of a multi-label task.
    aliases
        Other names of classes or contigs in the files, and ours.
    label_letters
        For labels that are given inside the sequence: a letter for each class.
    chunks
        Whether rows may be longer than any context, so that they are embedded in chunks, and
        nothing but frozen embeddings and words is measured.
    published
        Numbers of the literature.
    notes
        What a reader of results must know.
    """

    name: str
    title: str
    kind: str
    metric: str
    source: Source
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
            raise InputError(f"the name of a task is group/set without blanks, got {self.name!r}")
        if self.kind not in KINDS:
            raise self._error(f"a kind is one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.layout not in LAYOUTS:
            raise self._error(f"a layout is one of {', '.join(LAYOUTS)}; got {self.layout!r}")
        self._check_metric()
        self._check_classes()
        self._check_labels()
        self._check_sizes()

    @property
    def group(self) -> str:
        """What stands before the slash."""
        return self.name.partition("/")[0]

    @property
    def n_outputs(self) -> int | None:
        """Numbers that a head gives for a row or a base; None where the rows say how many."""
        if self.kind == "regression":
            return 1
        return self.label_groups[-1].end if self.kind == "multilabel" else len(self.classes) or None

    def _check_metric(self) -> None:
        if self.metric not in METRICS or self.metric not in KINDS[self.kind]:
            fitting = ", ".join(KINDS[self.kind])
            raise self._error(f"the metric of {self.kind} is one of {fitting}; got {self.metric!r}")

    def _check_classes(self) -> None:
        n = len(self.classes)
        if len(set(self.classes)) != n:
            raise self._error(f"classes are distinct, got {', '.join(self.classes)}")
        if self.kind == "binary" and n != 2:
            raise self._error(f"binary has two classes, got {n}")
        if self.kind in ("multiclass", "per_base") and n and n < 2:
            raise self._error(f"{self.kind} has at least two classes, got {n}")
        if self.kind in ("regression", "multilabel") and n:
            raise self._error(f"{self.kind} has no classes, got {', '.join(self.classes)}")

    def _check_labels(self) -> None:
        if self.label_letters and len(self.label_letters) != len(self.classes):
            raise self._error(
                f"{len(self.classes)} classes need as many letters, got {self.label_letters}"
            )
        if self.chunks and self.kind == "per_base":
            raise self._error("rows in chunks have one label each, and per_base has one a base")
        if (self.kind == "multilabel") != bool(self.label_groups):
            raise self._error("label groups belong to a multilabel task, and it needs them")
        edge = 0
        for group in self.label_groups:
            if group.start != edge or group.end <= group.start:
                raise self._error(f"label groups follow each other without gap, got {group}")
            edge = group.end

    def _check_sizes(self) -> None:
        for split in [*self.published_rows, *self.sha256]:
            if split not in SPLITS:
                raise self._error(f"a split is one of {', '.join(SPLITS)}; got {split!r}")
        sizes = [*self.published_rows.values(), self.median_length, self.length]
        if any(size is not None and size < 1 for size in sizes):
            raise self._error(f"numbers of rows and lengths are at least 1, got {sizes}")

    def _error(self, problem: str) -> InputError:
        return InputError(f"task {self.name}: {problem}")
