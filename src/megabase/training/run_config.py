"""PretrainConfig, AdaptConfig and FinetuneConfig: every setting of a run, with its unit."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from megabase.data.labels import KINDS, LABEL_TEXTS
from megabase.errors import InputError
from megabase.io.sequence_table import CROPS, LABEL, SEQUENCE
from megabase.model.architecture import JOINT, POOLED, PRESETS, A, Architecture
from megabase.runtime.config_file import RunConfig

_LONG = 1024  # tokens; from here on only max_seq_len of a preset depends on the context length

DEFAULT_PRESET = "tiny"
"""Default size of a model."""

MOST_COMBINATIONS = 64
"""Largest number of combinations of a sweep."""

_NOT_SWEPT = (
    "model", "context_length", "select", "strand", "n_seeds", "seed", "sweep",
    "validation_fraction", "device", "memory_gib", "checkpoint_every",
)  # fmt: skip
"""Keys that define what a sweep compares, or how, and not what is learnt."""


class SplitConfig(RunConfig):
    """The test and validation splits that are held out of training.

    Each split is given by contigs, by regions, or as the last fraction of every contig (for
    validation, of what the test split leaves); the first that is given is used. Regions are a
    BED file, or a list of texts contig:first-last, counted from 1 with both ends included.
    """

    test_contigs: tuple[str, ...] = ()
    """Contigs held out for the test."""
    test_regions: str | tuple[str, ...] | None = None
    """Regions held out for the test: a BED file, or a list such as ["chr20:1-1,000,000"]."""
    test_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Last fraction of each contig held out for the test, without test_contigs and test_regions."""
    validation_contigs: tuple[str, ...] = ()
    """Contigs held out for validation."""
    validation_regions: str | tuple[str, ...] | None = None
    """Regions held out for validation: a BED file, or a list."""
    validation_fraction: float = Field(default=0.01, ge=0, lt=1)
    """Last fraction of each remaining interval held out for validation, likewise."""

    @model_validator(mode="after")
    def _one_way(self) -> "SplitConfig":
        if self.test_contigs and self.test_regions:
            raise ValueError("give test_contigs or test_regions, not both")
        if self.validation_contigs and self.validation_regions:
            raise ValueError("give validation_contigs or validation_regions, not both")
        return self


class GenomeConfig(RunConfig):
    """One of the genomes that a model is trained on."""

    path: str
    """FASTA or 2bit file, or asset:ecoli."""
    weight: float = Field(default=1.0, gt=0)
    """How many windows are drawn from this genome, relative to the others."""
    contigs: tuple[str, ...] = ()
    """The contigs to use; empty: all."""
    split: SplitConfig | None = None
    """What is held out of this genome; None: as in the split of the run."""


class PretrainConfig(RunConfig):
    """Pretraining of a causal language model on one genome or several."""

    model: str | None = None
    """A language model to continue training from: folder, asset:default, released folder or .ckpt,
    or hub id. The network keeps the configuration of that model. None: from scratch."""
    genome: str | None = None
    """FASTA or 2bit file, or asset:ecoli: shorthand for a single genome."""
    genomes: dict[str, GenomeConfig] = Field(default={})
    """Several genomes, each under its own name."""
    genome_folder: str = ""
    """Base folder of relative paths of genomes and BED files; empty: the current folder."""
    preset: str | None = None
    """Size of a model from scratch, a name in `model.architecture.PRESETS`; None: tiny."""
    architecture: dict[str, StrictFloat | StrictInt | StrictStr | list[StrictInt] | None] = Field(
        default={}
    )
    """Keys of `HyenaDNAConfig` whose values replace those of the preset, such as n_near_taps, or
    memory_orders and pointer_orders for a memory (`ops.memory`);
    max_seq_len makes the filter for a longer context than the training uses."""
    context_length: int = Field(default=1024, ge=2)
    """Tokens of a window, in the last stage of the length warm-up."""
    start_length: int | None = Field(default=None, ge=2)
    """Tokens of a window in the first stage of the length warm-up; None: no warm-up."""
    length_warmup_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Fraction of the steps over which the length doubles, stage by stage."""
    batch_rule: Literal["constant_tokens", "constant_sequences"] = "constant_tokens"
    """What is constant over the stages: tokens per step, or windows per step (the paper)."""
    steps: int = Field(default=1000, ge=1)
    """Optimiser steps."""
    tokens_per_step: int = Field(default=8192, ge=1)
    """Tokens of all windows of a step in the last stage; at least one window is taken."""
    windows_per_pass: int | None = Field(default=None, ge=1)
    """Windows per forward pass; a step accumulates passes. None: as many as memory allows."""
    memory_gib: float | None = Field(default=None, gt=0)
    """Memory in GiB that a training process may use; None: 80 % of the device's memory."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak of the learning rate."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps over which the learning rate rises to its peak."""
    final_fraction: float = Field(default=0.1, ge=0, le=1)
    """Fraction of the peak to which the cosine falls at the last step."""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's weight decay of the projection and MLP matrices; other parameters do not decay."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's decay rate of the mean of the gradient."""
    beta2: float = Field(default=0.98, ge=0, lt=1)
    """AdamW's decay rate of the mean of the squared gradient."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient; a gradient with a larger norm is scaled down."""
    embed_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout probability of the channels of embedded tokens; None: that of the model that is
    continued, or 0."""
    reverse_complement_p: float = Field(default=0.5, ge=0, le=1)
    """Probability that a window is read as its reverse complement."""
    max_unknown_fraction: float = Field(default=0.1, ge=0, le=1)
    """Largest fraction of N in a window; a window with more is skipped."""
    soft_mask_weight: float = Field(default=1.0, ge=0)
    """Weight of a soft-masked (lower-case) base in the loss; every other base has weight 1."""
    segment_length: int = Field(default=1 << 18, ge=1)
    """With a memory: letters of a segment, whose features are computed once."""
    open_segments: int = Field(default=4, ge=1, le=64)
    """With a memory: number of segments from which windows are drawn at a time."""
    short_memory_p: float = Field(default=0.25, ge=0, le=1)
    """With a memory: probability that the memory of a segment begins at a random distance before
    it, and not at the start of the training regions."""
    remember: tuple[str, ...] = ()
    """With a memory: FASTA or 2bit files of other genomes, such as relatives, that the memory of a
    segment has read before the training regions."""
    window_memory_p: float = Field(default=0.125, ge=0, le=1)
    """With a memory: probability that the memory of a window begins with the window."""
    own_loss_weight: float = Field(default=0.5, ge=0)
    """With a memory: weight of the loss of the network alone, before the memory is mixed in."""
    split: SplitConfig = SplitConfig()
    """What is held out of each genome that has no split of its own."""
    validations: int = Field(default=5, ge=0)
    """How often the loss on validation windows is measured during the run."""
    validation_windows: int = Field(default=32, ge=1)
    """Number of validation windows of each genome, spread evenly; fewer if fewer fit."""
    checkpoint_every: int | None = Field(default=None, ge=1)
    """Steps between two checkpoints, from which an interrupted run resumes. None: a twentieth of
    the run."""
    log_every: int = Field(default=10, ge=1)
    """Steps between two lines of metrics."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the initial weights and of every draw."""
    device: Literal["auto", "cpu"] = "auto"
    """Device to train on: auto uses the accelerator if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the matrix products: auto uses bfloat16 if an accelerator supports it."""
    gradient_checkpointing: bool | None = None
    """Keep only each block's input and recompute the rest: less memory, more time. None: only if a
    window does not fit in memory otherwise."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """What is divided among processes: the windows, or also the weights (needs accelerators)."""
    workers: int = Field(default=0, ge=0)
    """Additional processes that read windows; they do not change the order of the windows."""

    @model_validator(mode="after")
    def _known(self) -> "PretrainConfig":
        if self.genome is None and not self.genomes:
            raise ValueError(
                "no genome to train on: give --genome, or a configuration with genome, or genomes, "
                "a mapping of names to genomes"
            )
        if self.genome is not None and self.genomes:
            raise ValueError("give either genome or genomes, a mapping of names to genomes")
        if self.start_length is not None and self.start_length > self.context_length:
            raise ValueError(
                f"start_length {self.start_length} is above context_length {self.context_length}"
            )
        if self.model is None:
            self.shape()
        elif given := [key for key in ("preset", "architecture") if getattr(self, key)]:
            raise ValueError(
                f"the network keeps the configuration of the model {self.model}; leave out "
                f"{' and '.join(given)}, or leave out model to train from scratch"
            )
        return self

    def request(self) -> dict[str, Any]:
        """Return every setting that affects the result, with the complete architecture."""
        keys = self.model_dump(mode="json", exclude={"workers", "memory_gib"})
        if self.model is not None:
            return keys
        del keys["model"]
        if not self.shape().has_memory:  # outputs of versions without a memory stay the same
            keys = {key: value for key, value in keys.items() if key not in _OF_MEMORY}
        own = {
            "preset": self.preset or DEFAULT_PRESET,
            "embed_dropout": self.embed_dropout or 0.0,
            "architecture": self.shape().architecture(),
        }
        return keys | own

    @property
    def start(self) -> str:
        """The model that training continues, or the preset."""
        return self.model or self.preset or DEFAULT_PRESET

    def shape(self) -> Architecture:
        """Return the architecture of a network from scratch."""
        shape = Architecture.from_preset(
            self.preset or DEFAULT_PRESET, self.context_length, **self.architecture
        )
        shape.embed_dropout = self.embed_dropout or 0.0
        return shape

    def shape_of(self, continued: A) -> A:
        """Return the configuration of a network whose training continues from a model.

        Parameters
        ----------
        continued
            The configuration of the model.

        Raises
        ------
        InputError
            If the windows are longer than the context of the model.
        """
        if self.context_length > continued.context_length:
            raise InputError(
                f"windows of {self.context_length:,} tokens are longer than the context of "
                f"{self.model}, which is {continued.context_length:,}; lower context_length"
            )
        shape = copy.deepcopy(continued)
        if self.embed_dropout is not None:
            shape.embed_dropout = self.embed_dropout
        return shape

    def sources(self) -> dict[str, GenomeConfig]:
        """Return the genomes by name, each with its split; a single one is named by its file."""
        if self.genome is None:
            named = self.genomes
        else:
            named = {genome_name(self.genome): GenomeConfig(path=self.genome)}
        return {
            name: genome.model_copy(update={"split": genome.split or self.split})
            for name, genome in named.items()
        }


_OF_MEMORY = ("remember", "segment_length", "open_segments", "short_memory_p", "window_memory_p",
              "own_loss_weight")  # fmt: skip


def genome_name(path: str) -> str:
    """Return the default name of a genome: its file name without suffixes.

    Examples
    --------
    >>> genome_name("genomes/sacCer3.fa.gz"), genome_name("asset:ecoli")
    ('sacCer3', 'ecoli')
    """
    return PurePath(path.removeprefix("asset:")).name.partition(".")[0]


def genome_options(paths: Sequence[str]) -> dict[str, Any]:
    """Return the keys of `PretrainConfig` for genomes that are given as paths.

    Raises
    ------
    InputError
        If two genomes have the same default name.
    """
    if len(paths) < 2:
        return {"genome": paths[0] if paths else None}
    named: dict[str, dict[str, str]] = {}
    for path in paths:
        if (name := genome_name(path)) in named:
            raise InputError(
                f"{named[name]['path']} and {path} would both be called {name!r}; name them in a "
                f"configuration file, or by --set genomes.NAME.path={path}"
            )
        named[name] = {"path": path}
    return {"genomes": named}


class AdaptConfig(RunConfig):
    """Adaptation of a model to labelled sequences, or training of one from scratch."""

    model: str | None = None
    """A language model to start from: folder, released folder or .ckpt, or hub id. None: from
    scratch."""
    preset: str | None = None
    """Size of a model from scratch, a name in `model.architecture.PRESETS`; None: tiny."""
    context_length: int | None = Field(default=None, ge=2)
    """Context in tokens of a model from scratch; None: the longest sequence of training and
    validation."""
    adapt: Literal["full", "head", "lora", "prompt"] = "full"
    """What is trained: all weights; the head of a frozen model; low-rank adapters and the head; or
    a soft prompt of a frozen language model, which predicts one letter for each class."""
    lora_rank: int = Field(default=8, ge=1)
    """Rank of the adapters of lora."""
    lora_alpha: float = Field(default=16.0, gt=0)
    """Scale of the adapters: their output is multiplied by lora_alpha / lora_rank."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability of the input channels of an adapter."""
    prompt_tokens: int = Field(default=32, ge=1)
    """Number of vectors of the prompt; each takes one token of the context."""
    prompt_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout probability of the channels of the prompt."""
    pooling: str = "mean"
    """How hidden states are pooled for the head: mean, last, max or centre."""
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability of the pooled channels."""
    embed_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout probability of the channels of embedded tokens; None: that of the model."""
    epochs: int = Field(default=10, ge=1)
    """Largest number of epochs."""
    patience: int | None = Field(default=3, ge=1)
    """Stop after this many epochs without a better validation; None: never."""
    select: str = "loss"
    """Validation metric that selects the best epoch and seed: loss, or a metric such as mcc."""
    batch_size: int = Field(default=32, ge=1)
    """Rows of an optimiser step."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak of the learning rate; None: 6e-4 for full, 1e-2 for head, 1e-3 for lora and prompt."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of all steps over which the learning rate rises, before a cosine decay to 0."""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's weight decay of the head, projection and MLP matrices; other parameters do not
    decay."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient; a gradient with a larger norm is scaled down."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weighting of the loss: equal for each row (none), or for each class (balanced)."""
    reverse_complement_p: float = Field(default=0.0, ge=0, le=1)
    """Probability that a training row is read as its reverse complement."""
    strand: Literal["forward", "average"] = "forward"
    """Strand of validation and test: forward, or the average of the predictions of both strands."""
    n_seeds: int = Field(default=3, ge=1)
    """Number of seeds from which the training is repeated."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """The first seed; it also fixes the validation split."""
    sweep: dict[str, tuple[Any, ...]] = Field(default={})
    """Values of some keys: every combination is trained from the first seed, and the best one on
    validation from all seeds."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Fraction of train that becomes validation, if validation is not given."""
    device: Literal["auto", "cpu"] = "auto"
    """Device to train on: auto uses the accelerator if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the matrix products in training: auto uses bfloat16 if an accelerator supports
    it. Validation and test always use float32, as the saved model does."""
    memory_gib: float | None = Field(default=None, gt=0)
    """Memory in GiB that training may use; None: 80 % of the device's memory."""
    checkpoint_every: int | None = Field(default=None, ge=1)
    """Steps between two checkpoints within an epoch; the end of an epoch is always saved. None:
    every five minutes."""

    @model_validator(mode="after")
    def _known(self) -> "AdaptConfig":
        _check_known("preset", self.preset, PRESETS)
        _check_known("pooling", self.pooling, POOLED)
        if self.model is not None and (self.preset or self.context_length):
            raise ValueError(
                "model fixes the size of the network; leave out preset and context_length, or model"
            )
        _check_sweep(self.sweep, self.select)
        if self.model is None and self.adapt != "full":
            raise ValueError(
                f"adapt={self.adapt} trains on top of a frozen model; give model, or use adapt=full"
            )
        self._check_used()
        return self

    def _check_used(self) -> None:
        """Raise a ValueError if a key is set that this way of adapting does not use."""
        for key, ways in _USED_BY.items():
            if (
                self.adapt not in ways
                and getattr(self, key) != AdaptConfig.model_fields[key].default
            ):
                raise ValueError(
                    f"{key} has no effect with adapt={self.adapt}; it is for {', '.join(ways)}"
                )

    def request(self) -> dict[str, Any]:
        """Return every setting that affects the result, with the architecture of each preset."""
        keys = self.model_dump(mode="json", exclude={"memory_gib", "checkpoint_every"})
        if self.model is None:
            names = [self.preset or DEFAULT_PRESET, *self.sweep.get("preset", ())]
            keys["architecture"] = {name: self._keys_of(name) for name in names}
        return keys

    def _keys_of(self, preset: str) -> dict[str, Any]:
        shape = Architecture.from_preset(preset, self.context_length or _LONG)
        return {k: value for k, value in shape.architecture().items() if k != "max_seq_len"}

    @property
    def n_prompt_tokens(self) -> int:
        """Number of tokens of the context that a soft prompt takes."""
        return self.prompt_tokens if self.adapt == "prompt" else 0

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up."""
        rates = {"full": 6e-4, "head": 1e-2, "lora": 1e-3, "prompt": 1e-3}
        return self.learning_rate or rates[self.adapt]


_USED_BY = {
    **dict.fromkeys(("lora_rank", "lora_alpha", "lora_dropout"), ("lora",)),
    **dict.fromkeys(("prompt_tokens", "prompt_dropout"), ("prompt",)),
    **dict.fromkeys(("pooling", "head_dropout", "embed_dropout"), ("full", "head", "lora")),
}


class FinetuneConfig(AdaptConfig):
    """Fine-tuning of a model on labelled tables, or training of one from scratch."""

    train: str
    """CSV, TSV or Parquet with the columns sequence and label, or contig, start, end[, strand]
    and label with a genome; or a folder with one FASTA file per class."""
    validation: str | None = None
    """Rows for early stopping and the selection of the seed, in the same format; None: a fraction
    of train that shares no sequence with the rest, on either strand."""
    test: str | None = None
    """Rows that are measured once at the end, in the same format; nothing is selected on them."""
    genome: str | None = None
    """FASTA or 2bit file of the intervals; None: the tables contain sequences."""
    crop: str | None = None
    """Which part is kept of a sequence longer than the context: centre, left or random. None: a
    longer sequence is an error."""
    labels: str | None = None
    """Labels of single bases: BED, whose names are classes, or bedGraph or bigWig, with values. The
    tables then need no column label, and may be BED. None: each row has one label."""
    kind: str = "auto"
    """Kind of labels: classification, multilabel, regression, or auto."""
    label_columns: tuple[str, ...] = ()
    """Columns of 0 and 1, one per label (multilabel); empty: labels are in label_column."""
    sequence_column: str = SEQUENCE
    """The column of sequences."""
    label_column: str = LABEL
    """The column of labels. In Parquet it may hold lists if kind is multilabel."""
    label_text: str = LABEL_TEXTS[0]
    """How labels are treated that differ only in blanks, case or number format: checked (an error),
    merge (one class) or exact (separate classes; texts for missing values are classes, too)."""
    delimiter: str | None = None
    """Character that separates the columns of a text table; None: inferred from its first line."""

    @model_validator(mode="after")
    def _tables(self) -> "FinetuneConfig":
        if self.labels is not None:
            if self.genome is None:
                raise ValueError("labels of bases need their genome; give genome")
            if self.kind != "auto" or self.pooling != "mean":
                raise ValueError(
                    "kind and pooling are only for labels of whole rows; leave them out (labels of "
                    "bases are classes in BED, values in bedGraph and bigWig)"
                )
        _check_known("crop", self.crop, CROPS)
        _check_known("kind", self.kind, KINDS)
        _check_known("label_text", self.label_text, LABEL_TEXTS)
        _check_label_columns(self.label_columns, self.kind)
        if self.label_column != LABEL and (self.labels or self.label_columns):
            raise ValueError("label_column excludes labels and label_columns; give one of them")
        return self

    def request(self) -> dict[str, Any]:
        """Return every setting that affects the result.

        Keys that were added in later versions are left out at their default, so that a request
        of an earlier version still matches.
        """
        default = type(self).model_fields
        return {
            key: value
            for key, value in super().request().items()
            if key not in _ADDED or value != default[key].default
        }


_ADDED = ("sequence_column", "label_column", "label_text", "delimiter")


def _check_sweep(sweep: Mapping[str, Sequence[object]], select: str) -> None:
    """Raise a ValueError if a sweep is too large, or its combinations cannot be compared."""
    known = [key for key in AdaptConfig.model_fields if key not in _NOT_SWEPT]
    for key, values in sweep.items():
        _check_known("a key of sweep", key, known)
        if not values or len(set(map(str, values))) < len(values):
            raise ValueError(f"sweep.{key} needs different values; got {list(values)}")
    n_combinations = math.prod(map(len, sweep.values()))
    if n_combinations > MOST_COMBINATIONS:
        raise ValueError(
            f"sweep has {n_combinations:,} combinations; at most {MOST_COMBINATIONS} are allowed"
        )
    if "class_weights" in sweep and select == "loss":
        raise ValueError(
            "losses under different class_weights cannot be compared; select by a metric such as "
            "mcc"
        )


def _check_label_columns(columns: Sequence[str], kind: str) -> None:
    """Raise a ValueError if columns cannot be those of a multilabel table."""
    if columns and kind not in ("auto", "multilabel"):
        raise ValueError(f"label_columns need kind multilabel; got kind {kind!r}")
    if len(set(columns)) < len(columns):
        raise ValueError("label_columns names a column twice")
    if odd := [column for column in columns if JOINT in column]:
        raise ValueError(f"{JOINT!r} separates labels; rename the column {odd[0]!r}")
    if odd := [column for column in columns if column != column.strip() or not column]:
        raise ValueError(f"a label cannot begin or end with blanks; rename the column {odd[0]!r}")


def _check_known(key: str, value: str | None, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        raise ValueError(f"{key} must be one of {', '.join(known)}; got {value!r}")
