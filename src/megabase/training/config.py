"""PretrainConfig, AdaptConfig and FinetuneConfig: every number of a run, with its unit."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from megabase.data.label_text import LABEL_TEXTS
from megabase.data.labels import KINDS, LABEL
from megabase.data.sequence_table import CROPS, SEQUENCE
from megabase.errors import InputError
from megabase.model.architecture import JOINT, POOLED, PRESETS, A, Architecture
from megabase.run.config import RunConfig

_LONG = 1024  # tokens, from which a preset's keys but max_seq_len are those of any longer context

DEFAULT_PRESET = "tiny"
"""Size of a model where none is named."""

MOST_COMBINATIONS = 64
"""Of the values of a sweep."""

_NOT_SWEPT = (
    "model", "context_length", "select", "strand", "n_seeds", "seed", "sweep",
    "validation_fraction", "device", "memory_gib", "checkpoint_every",
)  # fmt: skip
"""Keys that say what is compared, or how, and not what is learnt."""


class SplitConfig(RunConfig):
    """What is held out of training, for the test and for validation.

    Each part is named by contigs, by regions, or as the last fraction of every contig
    (of what is left of it, for validation); the first that is given counts. Regions are
    a BED file, or a list of texts as people write them, contig:first-last, from 1.
    """

    test_contigs: tuple[str, ...] = ()
    """Contigs held out for the test."""
    test_regions: str | tuple[str, ...] | None = None
    """What is held out for the test: a BED file, or a list such as ["chr20:1-1,000,000"]."""
    test_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Last fraction of each contig held out for the test, if no contigs or regions are."""
    validation_contigs: tuple[str, ...] = ()
    """Contigs held out for validation."""
    validation_regions: str | tuple[str, ...] | None = None
    """What is held out for validation: a BED file, or a list."""
    validation_fraction: float = Field(default=0.01, ge=0, lt=1)
    """Last fraction of each remaining stretch held out for validation, likewise."""

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
    """How many windows are drawn from it, relative to the other genomes."""
    contigs: tuple[str, ...] = ()
    """The only contigs that are used; all if none is named."""
    split: SplitConfig | None = None
    """What of it is held out; None: as the split of the run says."""


class PretrainConfig(RunConfig):
    """Pretraining of a causal language model on one genome or several."""

    model: str | None = None
    """A language model to continue training from: folder, asset:default, released folder or .ckpt,
    or hub id. The configuration of the network is its own. None: from scratch."""
    genome: str | None = None
    """FASTA or 2bit file, or asset:ecoli: short for one genome of that path."""
    genomes: dict[str, GenomeConfig] = Field(default={})
    """Several genomes, each under a name of its own."""
    genome_folder: str = ""
    """Where relative paths of genomes and of BED files start; empty: the current folder."""
    preset: str | None = None
    """Size of a model from scratch, one of the names of `model.config.PRESETS`; None: tiny."""
    architecture: dict[str, StrictFloat | StrictInt | StrictStr | None] = Field(default={})
    """Keys of `HyenaDNAConfig` with other values than the preset has, such as n_near_taps; with
    max_seq_len the filter is made for a longer context than is trained on."""
    context_length: int = Field(default=1024, ge=2)
    """Tokens of a window, in the last stage of the length warm-up."""
    start_length: int | None = Field(default=None, ge=2)
    """Tokens of a window in the first stage of the length warm-up; None: no warm-up."""
    length_warmup_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Fraction of the steps over which the length doubles, stage by stage."""
    batch_rule: Literal["constant_tokens", "constant_sequences"] = "constant_tokens"
    """What of a step stays through the stages: its tokens, or its number of windows (the paper)."""
    steps: int = Field(default=1000, ge=1)
    """Optimiser steps."""
    tokens_per_step: int = Field(default=8192, ge=1)
    """Tokens of all windows of a step in the last stage; at least one window is taken."""
    windows_per_pass: int | None = Field(default=None, ge=1)
    """Windows that pass through the model at once; a step accumulates passes. None: by memory."""
    memory_gib: float | None = Field(default=None, gt=0)
    """Memory that a training process may take; None: 80 % of what the device has."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak of the learning rate."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps over which the learning rate rises to its peak."""
    final_fraction: float = Field(default=0.1, ge=0, le=1)
    """Fraction of the peak to which the cosine falls at the last step."""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's decay of the projection and MLP matrices; everything else has none."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's memory of the gradient."""
    beta2: float = Field(default=0.98, ge=0, lt=1)
    """AdamW's memory of its square."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient; a longer one is scaled down."""
    embed_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Chance that a channel of an embedded token is dropped; None: as the model says that training
    continues from, or 0."""
    reverse_complement_p: float = Field(default=0.5, ge=0, le=1)
    """Probability that a window is read from the other strand."""
    max_unknown_fraction: float = Field(default=0.1, ge=0, le=1)
    """A window with a greater share of N is passed over."""
    soft_mask_weight: float = Field(default=1.0, ge=0)
    """What a soft-masked base (in lower case) counts in the loss; every other counts 1."""
    split: SplitConfig = SplitConfig()
    """What is held out of each genome that has no split of its own."""
    validations: int = Field(default=5, ge=0)
    """How often the loss on validation windows is measured in the course of the run."""
    validation_windows: int = Field(default=32, ge=1)
    """How many windows of each genome that is measured on, spread evenly; fewer if fewer fit."""
    checkpoint_every: int | None = Field(default=None, ge=1)
    """Steps between two checkpoints, from which a run that was killed goes on. None: a twentieth
    of the run."""
    log_every: int = Field(default=10, ge=1)
    """Steps between two lines of metrics."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Fixes the starting weights and every draw."""
    device: Literal["auto", "cpu"] = "auto"
    """Where to train: auto takes the accelerator if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products: auto takes bfloat16 where an accelerator has it."""
    gradient_checkpointing: bool | None = None
    """Keep only each block's input and compute the rest again: less memory, more time.
    None: where a window does not fit the memory otherwise."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """What several processes share out: the windows, or the weights too (needs accelerators)."""
    workers: int = Field(default=0, ge=0)
    """Processes that read windows beside the one that trains; the order is the same."""

    @model_validator(mode="after")
    def _known(self) -> "PretrainConfig":
        if (self.genome is None) == (not self.genomes):
            raise ValueError("give either genome, or genomes with a name for each")
        if self.start_length is not None and self.start_length > self.context_length:
            raise ValueError(
                f"start_length {self.start_length} is above context_length {self.context_length}"
            )
        if self.model is None:
            self.shape()
        elif given := [key for key in ("preset", "architecture") if getattr(self, key)]:
            raise ValueError(
                f"the configuration of the network is that of the model {self.model}; leave out "
                f"{' and '.join(given)}, or leave out model to train from scratch"
            )
        return self

    def request(self) -> dict[str, Any]:
        """Give all that decides what is learned, with the whole architecture."""
        keys = self.model_dump(mode="json", exclude={"workers", "memory_gib"})
        if self.model is not None:
            return keys
        del keys["model"]
        own = {
            "preset": self.preset or DEFAULT_PRESET,
            "embed_dropout": self.embed_dropout or 0.0,
            "architecture": self.shape().architecture(),
        }
        return keys | own

    @property
    def start(self) -> str:
        """What training starts from: the model that it continues, or a preset."""
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
            That of the model.

        Raises
        ------
        InputError
            If the windows are longer than what that model reads.
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
        """Give the genomes by name, each with its split; a single one is named by its file."""
        if self.genome is None:
            named = self.genomes
        else:
            named = {genome_name(self.genome): GenomeConfig(path=self.genome)}
        return {
            name: genome.model_copy(update={"split": genome.split or self.split})
            for name, genome in named.items()
        }


def genome_name(path: str) -> str:
    """Return what a genome is called that has no name of its own: its file without endings.

    Examples
    --------
    >>> genome_name("genomes/sacCer3.fa.gz"), genome_name("asset:ecoli")
    ('sacCer3', 'ecoli')
    """
    return PurePath(path.removeprefix("asset:")).name.partition(".")[0]


def genome_options(paths: Sequence[str]) -> dict[str, Any]:
    """Return the keys of `PretrainConfig` for the genomes that options name.

    Raises
    ------
    InputError
        If two of them have one name.
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
    """How a model is adapted to labelled sequences, or trained on them from scratch."""

    model: str | None = None
    """A language model to start from: folder, released folder or .ckpt, or hub id. None: from
    scratch."""
    preset: str | None = None
    """Size of a model from scratch, one of the names of `model.config.PRESETS`; None: tiny."""
    context_length: int | None = Field(default=None, ge=2)
    """Tokens of the context of a model from scratch; None: the longest sequence of training and
    validation."""
    adapt: Literal["full", "head", "lora", "prompt"] = "full"
    """What moves: all weights; the head on a frozen model; low-rank adapters and the head; or a
    soft prompt before a frozen language model, which answers with a letter for each class."""
    lora_rank: int = Field(default=8, ge=1)
    """Rank of the adapters of lora."""
    lora_alpha: float = Field(default=16.0, gt=0)
    """What an adapter's answer is multiplied by, times the rank."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Chance that a channel of what an adapter sees is dropped."""
    prompt_tokens: int = Field(default=32, ge=1)
    """Vectors of the prompt, which take so many tokens of the context."""
    prompt_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Chance that a channel of a vector of the prompt is dropped."""
    pooling: str = "mean"
    """What the head sees of the hidden states: mean, last, max or centre."""
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Chance that a channel of what was pooled is dropped."""
    embed_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Chance that a channel of an embedded token is dropped; None: as the model says."""
    epochs: int = Field(default=10, ge=1)
    """The most times that each row is read."""
    patience: int | None = Field(default=3, ge=1)
    """Stop after so many epochs without a better validation; None: never."""
    select: str = "loss"
    """What of validation decides on the best epoch and seed: loss, or a metric such as mcc."""
    batch_size: int = Field(default=32, ge=1)
    """Rows of an optimiser step."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak of the learning rate; None: 6e-4 where all moves, 1e-2 for the head alone, 1e-3 for
    adapters and prompts."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of all steps over which the learning rate rises, before its cosine falls to 0."""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's decay of the head, projection and MLP matrices; everything else has none."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient; a longer one is scaled down."""
    class_weights: Literal["none", "balanced"] = "none"
    """What a class counts in the loss: the same for each row, or for each class."""
    reverse_complement_p: float = Field(default=0.0, ge=0, le=1)
    """Probability that a row is read from the other strand in training."""
    strand: Literal["forward", "average"] = "forward"
    """Whether validation and test take the forward strand, or the mean of both strands' answers."""
    n_seeds: int = Field(default=3, ge=1)
    """How often the whole is done, from different seeds."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """The first seed; it also fixes the validation part."""
    sweep: dict[str, tuple[Any, ...]] = Field(default={})
    """Values of some keys: every combination is trained from the first seed, and the best on
    validation from all."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Of train that becomes validation, if none is given."""
    device: Literal["auto", "cpu"] = "auto"
    """Where to train: auto takes the accelerator if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products in training: auto takes bfloat16 where an accelerator has it. What
    is measured is measured in float32, as the saved model answers."""
    memory_gib: float | None = Field(default=None, gt=0)
    """Memory that training may take; None: 80 % of what the device has."""
    checkpoint_every: int | None = Field(default=None, ge=1)
    """Steps between two checkpoints within an epoch, each of which is saved at its end too. None:
    five minutes."""

    @model_validator(mode="after")
    def _known(self) -> "AdaptConfig":
        _check_known("preset", self.preset, PRESETS)
        _check_known("pooling", self.pooling, POOLED)
        if self.model is not None and (self.preset or self.context_length):
            raise ValueError("a model has its own size: give model, or preset and context_length")
        _check_sweep(self.sweep, self.select)
        if self.model is None and self.adapt != "full":
            raise ValueError(
                f"adapt={self.adapt} freezes what was learnt before: give the model that it is "
                "put on"
            )
        self._check_used()
        return self

    def _check_used(self) -> None:
        """Refuse keys that another way of adapting would use."""
        for key, ways in _USED_BY.items():
            if (
                self.adapt not in ways
                and getattr(self, key) != AdaptConfig.model_fields[key].default
            ):
                raise ValueError(
                    f"{key} changes nothing with adapt={self.adapt}; it is for {', '.join(ways)}"
                )

    def request(self) -> dict[str, Any]:
        """Give all that decides what is learned, with what a preset is where one is started."""
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
        """Tokens of the context that a soft prompt takes."""
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
    and label with a genome; or a folder with a FASTA file for each class."""
    validation: str | None = None
    """The same, for early stopping and the choice of the seed; None: a part of train, which
    shares no sequence with the rest on either strand."""
    test: str | None = None
    """The same, measured once at the end; nothing is chosen on it."""
    genome: str | None = None
    """FASTA or 2bit that the intervals are of; None: the tables have sequences."""
    crop: str | None = None
    """Which part is kept of a sequence over the context: centre, left or random. None: that is an
    error."""
    labels: str | None = None
    """What each base of a genome is: BED, whose names are classes, or bedGraph or bigWig, with
    values. The tables then need no column label, and may be BED. None: a label for each row."""
    kind: str = "auto"
    """What labels are: classification, multilabel, regression, or auto."""
    label_columns: tuple[str, ...] = ()
    """Columns of 0 and 1, one for each of several labels; none: the column label."""
    sequence_column: str = SEQUENCE
    """The column of sequences."""
    label_column: str = LABEL
    """The column of labels. In Parquet it may hold lists, of kind multilabel."""
    label_text: str = LABEL_TEXTS[0]
    """What becomes of labels that differ in blanks, case or the form of a number only: checked (an
    error), merge (one class) or exact (classes of their own, also what stands for a missing one).
    """
    delimiter: str | None = None
    """What separates the columns of a text table; None: as its first line tells."""

    @model_validator(mode="after")
    def _tables(self) -> "FinetuneConfig":
        if self.labels is not None:
            if self.genome is None:
                raise ValueError("labels of bases need the genome that they are of: genome")
            if self.kind != "auto" or self.pooling != "mean":
                raise ValueError(
                    "kind and pooling are of labels of whole rows: of bases BED has classes, "
                    "bedGraph and bigWig have values"
                )
        _check_known("crop", self.crop, CROPS)
        _check_known("kind", self.kind, KINDS)
        _check_known("label_text", self.label_text, LABEL_TEXTS)
        _check_label_columns(self.label_columns, self.kind)
        if self.label_column != LABEL and (self.labels or self.label_columns):
            raise ValueError("label_column goes without labels and label_columns")
        return self

    def request(self) -> dict[str, Any]:
        """Return all that decides what is learned; keys of later versions only where they do."""
        default = type(self).model_fields
        return {
            key: value
            for key, value in super().request().items()
            if key not in _ADDED or value != default[key].default
        }


_ADDED = ("sequence_column", "label_column", "label_text", "delimiter")


def _check_sweep(sweep: Mapping[str, Sequence[object]], select: str) -> None:
    """Refuse a grid that is too large, or whose combinations could not be compared."""
    known = [key for key in AdaptConfig.model_fields if key not in _NOT_SWEPT]
    for key, values in sweep.items():
        _check_known("a key of sweep", key, known)
        if not values or len(set(map(str, values))) < len(values):
            raise ValueError(f"sweep.{key} needs different values; got {list(values)}")
    n_combinations = math.prod(map(len, sweep.values()))
    if n_combinations > MOST_COMBINATIONS:
        raise ValueError(
            f"sweep has {n_combinations:,} combinations; {MOST_COMBINATIONS} are the most"
        )
    if "class_weights" in sweep and select == "loss":
        raise ValueError("class_weights change what the loss means; select by a metric, say mcc")


def _check_label_columns(columns: Sequence[str], kind: str) -> None:
    """Refuse columns that cannot be those of several labels."""
    if columns and kind not in ("auto", "multilabel"):
        raise ValueError(f"label_columns are of kind multilabel; got kind {kind!r}")
    if len(set(columns)) < len(columns):
        raise ValueError("label_columns names a column twice")
    if odd := [column for column in columns if JOINT in column]:
        raise ValueError(f"{JOINT!r} stands between labels; rename the column {odd[0]!r}")
    if odd := [column for column in columns if column != column.strip() or not column]:
        raise ValueError(f"a label has no blanks around it; rename the column {odd[0]!r}")


def _check_known(key: str, value: str | None, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        raise ValueError(f"{key} is one of {', '.join(known)}; got {value!r}")
