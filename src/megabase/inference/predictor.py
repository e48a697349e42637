"""Predictor: a loaded model on its device.

Importing this module does not import torch. It is imported when a model is loaded, after the
options have been checked.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64

from megabase.errors import InputError
from megabase.genome.constraint import Constraint
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.variant import Site
from megabase.genome.vocabulary import TokenArray
from megabase.inference.choices import MEAN, Pooling, join_strands, read_strands, strands_of
from megabase.inference.sampling import Sampling
from megabase.inference.scores import VariantEffect
from megabase.inference.windows import Window
from megabase.model.files import DEFAULT_MODEL, find_model

if TYPE_CHECKING:  # annotations use full names, so that a runtime type checker can import them
    import torch

    import megabase.inference.generation
    import megabase.inference.plan
    import megabase.model.load
    import megabase.model.memory_mixer
    import megabase.model.modeling
    import megabase.model.reading
    import megabase.ops.memory

PRECISIONS = ("float32", "bfloat16")
"""Precisions of matrix products; bfloat16 is faster on CPUs that support it, and less exact."""

_DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|hpu|mtia)(:\d+)?")


def check_device(name: str) -> None:
    """Raise an InputError if a device name is malformed; whether it exists is checked by torch."""
    if not _DEVICE.fullmatch(name):
        raise InputError(f"the device must be auto, cpu, cuda, cuda:N or mps; got {name!r}")


def check_precision(name: str) -> None:
    """Raise an InputError if a precision is unknown."""
    if name not in PRECISIONS:
        raise InputError(f"the precision must be one of {', '.join(PRECISIONS)}; got {name!r}")


class Predictor:
    """A model that computes scores, embeddings and sequences from arrays of tokens.

    Parameters
    ----------
    loaded
        The model; it is moved to `device` in place, and its engine is set.
    device
        The device to run on.
    max_memory_gib
        The most memory that the process may take on a CPU, in GiB; None: no limit, and the
        fastest implementation is used.
    precision
        One of `PRECISIONS`; bfloat16 on a CPU only.
    batch_tokens
        The most tokens of a batch, padding included; None: the default of the device. A longer
        sequence is a batch by itself, so that 1 reads one sequence at a time: no other sequence
        then affects a bit of its values.
    """

    def __init__(
        self,
        loaded: "megabase.model.load.Loaded | megabase.model.reading.ReadModel",
        device: "torch.device",
        *,
        max_memory_gib: float | None = None,
        precision: str = "float32",
        batch_tokens: int | None = None,
    ) -> None:
        from megabase.inference.plan import default_batch_tokens, place_model
        from megabase.model.reading import weights_sha256

        self._loaded = loaded
        self.device = device
        self.language = loaded.model
        place_model(self.language, device, max_memory_gib=max_memory_gib, precision=precision)
        self.batch_tokens = batch_tokens or default_batch_tokens(device)
        self.revision = loaded.revision
        self.context_length: int = self.language.config.context_length
        self.weights_sha256 = weights_sha256(self.language)

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_MODEL,
        *,
        device: str = "auto",
        max_memory_gib: float | None = None,
        precision: str = "float32",
        batch_tokens: int | None = None,
    ) -> "Predictor":
        """Load a model onto a device.

        Parameters
        ----------
        name
            Folder, file or hub id of the model.
        device
            ``auto`` for the accelerator if there is one, else the CPU; or ``cpu``, ``cuda``,
            ``cuda:N`` or ``mps``.
        max_memory_gib
            The most memory that the process may take on a CPU, in GiB; None: no limit.
        precision
            One of `PRECISIONS`; bfloat16 on a CPU only.
        batch_tokens
            The most tokens of a batch, as in `Predictor`.

        Raises
        ------
        InputError
            If the model cannot be read, or an option is invalid.
        """
        check_device(device)
        check_precision(precision)
        files = find_model(name)
        from megabase.inference.plan import choose_device
        from megabase.model.reading import read_language_model

        return cls(
            read_language_model(files), choose_device(device), max_memory_gib=max_memory_gib,
            precision=precision, batch_tokens=batch_tokens,
        )  # fmt: skip

    @cached_property
    def model(self) -> "megabase.model.modeling.HyenaDNAForCausalLM":
        """The Hugging Face model with the same weights; the first use imports transformers."""
        from megabase.model.load import Loaded, hugging_face

        loaded = self._loaded
        return loaded.model if isinstance(loaded, Loaded) else hugging_face(loaded)

    @property
    def memory(self) -> "megabase.model.memory_mixer.MemoryMixer | None":
        """What reads the memory of the model; None if it has no memory."""
        return self.language.backbone.memory

    def begin_with(self, base: "megabase.ops.memory.MemoryBase", name: str) -> None:
        """Let the memory of every sequence begin with an index.

        Parameters
        ----------
        base
            What was read.
        name
            The index in messages.

        Raises
        ------
        InputError
            If the model has no memory, or one with other orders.
        """
        if self.memory is None:
            raise InputError(f"the model has no memory, which {name} would begin; leave it out")
        base.check(self.memory.rules)
        self.memory.base = base

    def check_context_length(self, asked: int | None) -> int:
        """Return the requested context length in bases; None: that of the model.

        Raises
        ------
        InputError
            If it is below 1 or exceeds the context of the model.
        """
        most = self.context_length
        if asked is not None and not 1 <= asked <= most:
            raise InputError(
                f"the context length must be from 1 to the {most:,} bases that this model reads; "
                f"got {asked:,}"
            )
        return most if asked is None else asked

    def plan(
        self,
        *,
        longest: int,
        n_tokens: int,
        n_blocks: int | None = None,
        n_bytes_held: int = 0,
    ) -> "megabase.inference.plan.InferencePlan":
        """Estimate memory and time of log-likelihoods or embeddings; see `plan.plan_inference`."""
        from megabase.inference.plan import plan_inference

        return plan_inference(
            self.language,
            longest=longest,
            at_once=self.batch_tokens,
            n_tokens=n_tokens,
            n_blocks=n_blocks,
            n_bytes_held=n_bytes_held,
        )

    def plan_gradients(
        self, *, longest: int, n_tokens: int
    ) -> "megabase.inference.plan.InferencePlan":
        """Estimate memory and time of gradients; see `plan.plan_gradients`."""
        from megabase.inference.plan import plan_gradients

        return plan_gradients(self.language, longest=longest, n_tokens=n_tokens)

    def plan_generation(
        self,
        *,
        prompt_length: int,
        length: int,
        n_sequences: int,
        batch_tokens: int | None = None,
    ) -> "megabase.inference.plan.GenerationPlan":
        """Choose the batch size for generation; see `plan.plan_generation`."""
        from megabase.inference.plan import plan_generation

        return plan_generation(
            self.language, prompt_length=prompt_length, length=length, n_sequences=n_sequences,
            batch_tokens=batch_tokens,
        )  # fmt: skip

    def log_likelihoods(
        self,
        sequences: Iterable[TokenArray],
        *,
        stride: int | None = None,
        strand: str = "forward",
        advance: Callable[[int], None] | None = None,
        features: "Iterator[megabase.ops.memory.Features] | None" = None,
        gaps: "Iterator[megabase.ops.memory.Gaps] | None" = None,
    ) -> Iterator[Float32[np.ndarray, " _"]]:
        """Yield, for each sequence in order, the log-likelihood in nats of each base.

        Parameters
        ----------
        sequences
            Token ids of each sequence.
        stride
            Bases between the starts of windows, for sequences longer than the context; None:
            no sequence may be longer.
        strand
            ``forward``, or ``average``: each base gets the mean of both strands.
        advance
            Called with 1 after each window of each strand.
        features
            For a model with a memory, those of each sequence on its strand, if its memory has read
            more than the sequence; without `stride`.
        gaps
            What does not count, for each sequence on its strand, of an index with which the memory
            begins; without `stride` and `features`.

        Raises
        ------
        InputError
            If stride or strand is invalid.
        WorkError
            If the log-likelihood of a base is NaN.
        """
        from megabase.inference.likelihood import log_likelihoods, long_log_likelihoods

        strands = strands_of(strand)
        read = read_strands(sequences, strands)
        if stride is None:
            values = log_likelihoods(
                self.language, read, tokens_per_batch=self.batch_tokens, advance=advance,
                features=features, gaps=gaps,
            )  # fmt: skip
        else:
            values = long_log_likelihoods(
                self.language, read, stride=stride, tokens_per_batch=self.batch_tokens,
                advance=advance,
            )  # fmt: skip
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
        gaps_of: "Callable[[int, int, int], megabase.ops.memory.Gaps] | None" = None,
    ) -> Iterator[Float32[np.ndarray, "..."]]:
        """Yield the embedding of each sequence; see `queries.embed`."""
        from megabase.inference.hidden import embed

        return embed(
            self.language, sequences, layer=layer, pooling=pooling, strand=strand, stride=stride,
            tokens_per_batch=self.batch_tokens, on_tokens=on_tokens, gaps_of=gaps_of,
        )  # fmt: skip

    def score_variants(
        self,
        reference: Reference,
        sites: Iterable[Site],
        *,
        window: int,
        both_strands: bool = True,
        with_distance: bool = False,
        gaps_of: "Callable[[Interval], megabase.ops.memory.Gaps] | None" = None,
    ) -> Iterator[list[VariantEffect]]:
        """Yield the effect of each alternative allele; see `score_variants.score_variants`."""
        from megabase.inference.score_variants import score_variants

        return score_variants(
            self.language, reference, sites, window=window, both_strands=both_strands,
            with_distance=with_distance, tokens_per_batch=self.batch_tokens, gaps_of=gaps_of,
        )  # fmt: skip

    def saturation_mutagenesis(
        self,
        reference: Reference,
        region: Interval,
        *,
        window: int,
        mode: str = "exact",
        both_strands: bool = True,
        gaps_of: "Callable[[Interval], megabase.ops.memory.Gaps] | None" = None,
    ) -> Float64[np.ndarray, "length 4"]:
        """Score every substitution of a region; see `substitutions.saturation_mutagenesis`."""
        from megabase.inference.substitutions import saturation_mutagenesis

        return saturation_mutagenesis(
            self.language, reference, region, window=window, mode=mode, both_strands=both_strands,
            tokens_per_batch=self.batch_tokens, gaps_of=gaps_of,
        )  # fmt: skip

    def log_probabilities(
        self,
        tokens: TokenArray,
        windows: Sequence[Window],
        gaps: "Sequence[megabase.ops.memory.Gaps] | None" = None,
    ) -> Iterator[Float32[np.ndarray, "scored base"]]:
        """Yield ln p of A, C, G, T for each window; see `likelihood.log_probabilities`."""
        from megabase.inference.likelihood import log_probabilities

        return log_probabilities(
            self.language, tokens, windows, tokens_per_batch=self.batch_tokens, gaps=gaps
        )

    def generate(
        self,
        prompts: Sequence[TokenArray],
        length: int,
        *,
        sampling: Sampling,
        seed: int,
        numbers: Sequence[tuple[int, ...]],
        template: TokenArray | None,
        constraint: Constraint | None,
        advance: Callable[[int], None] | None = None,
    ) -> "list[megabase.inference.generation.Generated]":
        """Continue each prompt by `length` bases; see `queries.generate`."""
        from megabase.inference.generation import generate

        return generate(
            self.language, prompts, length, sampling=sampling, seed=seed, numbers=numbers,
            template=template, constraint=constraint, advance=advance,
        )  # fmt: skip
