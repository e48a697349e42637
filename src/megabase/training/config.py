"""PretrainConfig: every number of a pretraining run, with its unit."""

from typing import Literal

from pydantic import Field, model_validator

from megabase.model.config import PRESETS
from megabase.run.config import RunConfig


class SplitConfig(RunConfig):
    """What is held out of training, for the test and for validation.

    Each part is named by contigs, by a BED file, or as the last fraction of every
    contig (of what is left of it, for validation); the first that is given counts.
    """

    test_contigs: tuple[str, ...] = ()
    """Contigs held out for the test."""
    test_regions: str | None = None
    """BED file of what is held out for the test."""
    test_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Last fraction of each contig held out for the test, if no contigs or regions are."""
    validation_contigs: tuple[str, ...] = ()
    """Contigs held out for validation."""
    validation_regions: str | None = None
    """BED file of what is held out for validation."""
    validation_fraction: float = Field(default=0.01, ge=0, lt=1)
    """Last fraction of each remaining stretch held out for validation, likewise."""

    @model_validator(mode="after")
    def _one_way(self) -> "SplitConfig":
        if self.test_contigs and self.test_regions:
            raise ValueError("give test_contigs or test_regions, not both")
        if self.validation_contigs and self.validation_regions:
            raise ValueError("give validation_contigs or validation_regions, not both")
        return self


class PretrainConfig(RunConfig):
    """Pretraining of a causal language model on a genome."""

    genome: str
    """FASTA or 2bit file, or asset:ecoli."""
    preset: str = "tiny"
    """Size of the model, one of the names of `model.config.PRESETS`."""
    context_length: int = Field(default=1024, ge=2)
    """Tokens of a window."""
    steps: int = Field(default=1000, ge=1)
    """Optimiser steps."""
    tokens_per_step: int = Field(default=8192, ge=1)
    """Tokens of all windows of a step; at least one window is taken."""
    windows_per_pass: int | None = Field(default=None, ge=1)
    """Windows that pass through the model at once; a step accumulates passes. None: all."""
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
    embed_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Chance that a channel of an embedded token is dropped."""
    reverse_complement_p: float = Field(default=0.5, ge=0, le=1)
    """Probability that a window is read from the other strand."""
    max_unknown_fraction: float = Field(default=0.1, ge=0, le=1)
    """A window with a greater share of N is passed over."""
    split: SplitConfig = SplitConfig()
    """What is held out."""
    validations: int = Field(default=5, ge=0)
    """How often the loss on validation windows is measured in the course of the run."""
    validation_windows: int = Field(default=32, ge=1)
    """How many windows that is measured on, spread evenly; fewer if fewer fit."""
    log_every: int = Field(default=10, ge=1)
    """Steps between two lines of metrics."""
    seed: int = Field(default=0, ge=0)
    """Fixes the starting weights and every draw."""
    device: Literal["auto", "cpu"] = "auto"
    """Where to train: auto takes the accelerator if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products: auto takes bfloat16 where an accelerator has it."""
    gradient_checkpointing: bool = False
    """Keep only each block's input and compute the rest again: less memory, more time."""
    workers: int = Field(default=0, ge=0)
    """Processes that read windows beside the one that trains; the order is the same."""

    @model_validator(mode="after")
    def _known(self) -> "PretrainConfig":
        if self.preset not in PRESETS:
            raise ValueError(f"preset is one of {', '.join(PRESETS)}; got {self.preset!r}")
        if self.windows_per_step % (self.windows_per_pass or 1):
            raise ValueError(
                f"windows_per_pass must divide the {self.windows_per_step} windows of a step; "
                f"got {self.windows_per_pass}"
            )
        return self

    @property
    def windows_per_step(self) -> int:
        """Windows of one optimiser step."""
        return max(1, self.tokens_per_step // self.context_length)
