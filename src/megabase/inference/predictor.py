"""Predictor: a model that is loaded, on its device, and ready to answer."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float32, Float64

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.site import Site
from megabase.inference.device import choose_device
from megabase.inference.embed import MEAN, Pooling, embed
from megabase.inference.likelihood import TOKENS_PER_BATCH, log_likelihoods, long_log_likelihoods
from megabase.inference.mutagenesis import saturation_mutagenesis
from megabase.inference.plan import (
    InferencePlan,
    bytes_beside,
    plan_gradients,
    plan_inference,
)
from megabase.inference.strands import join_strands, read_strands, strands_of
from megabase.inference.variant_effect import VariantEffect, score_variants
from megabase.model.engine import Engine
from megabase.model.load import Loaded, load, weights_sha256
from megabase.model.padding import TokenArray
from megabase.model.products import warn_of_slow_bfloat16
from megabase.run.location import DEFAULT_MODEL

PRECISIONS = ("float32", "bfloat16")
"""Of matrix products; bfloat16 is faster on CPUs that have it, and the answer is another."""


class Predictor:
    """Answers for arrays of tokens.

    Parameters
    ----------
    loaded
        The model, which is this predictor's from now on: it is moved, and its engine set.
    device
        Where it shall run.
    max_memory_gib
        The most memory that the process may take on a CPU, in GiB; None: whatever is fastest.
    precision
        One of `PRECISIONS`; bfloat16 on a CPU only.
    """

    def __init__(
        self,
        loaded: Loaded,
        device: torch.device,
        *,
        max_memory_gib: float | None = None,
        precision: str = "float32",
    ) -> None:
        if precision not in PRECISIONS:
            raise InputError(f"a precision is one of {', '.join(PRECISIONS)}; got {precision!r}")
        if precision == "bfloat16":
            warn_of_slow_bfloat16(device)
        self.device = device
        self.model = loaded.model
        self.model.to(device)  # pyright: ignore[reportArgumentType] transformers hides its self
        self.model.backbone.engine = Engine(
            max_bytes=None if max_memory_gib is None else bytes_beside(self.model, max_memory_gib),
            matmul_dtype=torch.bfloat16 if precision == "bfloat16" else None,
        )
        self.revision = loaded.revision
        self.context_length: int = loaded.model.config.context_length
        self.weights_sha256 = weights_sha256(loaded.model)

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_MODEL,
        *,
        device: str = "auto",
        max_memory_gib: float | None = None,
        precision: str = "float32",
    ) -> "Predictor":
        """Load what `model.load.load` takes, onto a device of `choose_device`."""
        return cls(
            load(name), choose_device(device), max_memory_gib=max_memory_gib, precision=precision
        )

    def check_context_length(self, asked: int | None) -> int:
        """Give the bases of a window: as asked, or as many as the model reads.

        Raises
        ------
        InputError
            If it reads fewer than are asked for.
        """
        most = self.context_length
        if asked is not None and not 1 <= asked <= most:
            raise InputError(
                f"this model reads windows of 1 to {most:,} bases; got a context length of "
                f"{asked:,}"
            )
        return most if asked is None else asked

    def plan(
        self,
        *,
        longest: int,
        n_tokens: int,
        at_once: int = TOKENS_PER_BATCH,
        n_blocks: int | None = None,
        n_bytes_held: int = 0,
    ) -> InferencePlan:
        """Tell memory and time of log-likelihoods or embeddings, as `plan.plan_inference`."""
        return plan_inference(
            self.model,
            longest=longest,
            at_once=at_once,
            n_tokens=n_tokens,
            n_blocks=n_blocks,
            n_bytes_held=n_bytes_held,
        )

    def plan_gradients(self, *, longest: int, n_tokens: int) -> InferencePlan:
        """Tell memory and time of gradients, as `plan.plan_gradients`."""
        return plan_gradients(self.model, longest=longest, n_tokens=n_tokens)

    def log_likelihoods(
        self,
        sequences: Iterable[TokenArray],
        *,
        stride: int | None = None,
        strand: str = "forward",
        advance: Callable[[int], None] | None = None,
    ) -> Iterator[Float32[np.ndarray, " _"]]:
        """Give, for each sequence in order, the log-likelihood in nats of each base.

        Parameters
        ----------
        sequences
            Tokens of each.
        stride
            Read what is longer than the context in windows, as
            `likelihood.long_log_likelihoods`; None: nothing is longer.
        strand
            One of `strands.STRANDS`; ``average``: each base gets the mean of both strands.
        advance
            Is told each window of each strand that is done.

        Raises
        ------
        InputError
            If stride or strand is none.
        WorkError
            If the model answers a base with no number.
        """
        strands = strands_of(strand)
        read = read_strands(sequences, strands)
        if stride is None:
            values = log_likelihoods(self.model, read, advance=advance)
        else:
            values = long_log_likelihoods(self.model, read, stride=stride, advance=advance)
        return join_strands(values, strands)

    def embed(
        self,
        sequences: Iterable[TokenArray],
        *,
        layer: int | None = None,
        pooling: Pooling = MEAN,
        strand: str = "average",
        stride: int | None = None,
        on_tokens: Callable[[int], object] | None = None,
    ) -> Iterator[Float32[np.ndarray, "..."]]:
        """Give the embedding of each sequence, as `embed.embed`."""
        return embed(
            self.model, sequences, layer=layer, pooling=pooling, strand=strand, stride=stride,
            on_tokens=on_tokens,
        )  # fmt: skip

    def score_variants(
        self,
        reference: Reference,
        sites: Iterable[Site],
        *,
        window: int,
        both_strands: bool = True,
        with_distance: bool = False,
    ) -> Iterator[list[VariantEffect]]:
        """Give the effect of each alternative allele, as `variant_effect.score_variants`."""
        return score_variants(
            self.model, reference, sites, window=window, both_strands=both_strands,
            with_distance=with_distance,
        )  # fmt: skip

    def saturation_mutagenesis(
        self,
        reference: Reference,
        region: Interval,
        *,
        window: int,
        mode: str = "exact",
        both_strands: bool = True,
    ) -> Float64[np.ndarray, "length 4"]:
        """Score every substitution, as `mutagenesis.saturation_mutagenesis`."""
        return saturation_mutagenesis(
            self.model, reference, region, window=window, mode=mode, both_strands=both_strands
        )
