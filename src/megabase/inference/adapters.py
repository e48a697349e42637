"""The model for other libraries: scikit-learn, and tools that use one-hot letters."""

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Num
from torch import Tensor, nn

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.choices import Pooling
from megabase.inference.letters import embed
from megabase.inference.likelihood import base_log_probabilities
from megabase.inference.predictor import Predictor
from megabase.model.architecture import POOLED
from megabase.model.files import DEFAULT_MODEL
from megabase.model.language import LanguageModel
from megabase.ops.memory import Gaps


class Embedder:
    """Embeds DNA as one vector per sequence; it can be a step of a scikit-learn Pipeline.

    There is nothing to fit. The model is loaded when it is first needed, and again in a
    copy, a clone or another process.

    Parameters
    ----------
    model
        Folder, file or hub id of the model.
    layer
        0 for the embedding of the letters, k for the output of block k; None: the last layer.
    pooling
        One of `model.architecture.POOLED`: a pooling to one vector.
    strand
        ``forward``; ``average``, the mean of both strands; or ``both``, side by side.
    stride
        Bases between the starts of windows, for a sequence longer than the context; None:
        such a sequence is an error.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    max_memory_gib
        The most memory that the process may take on a CPU, in GiB; None: no limit.
    precision
        ``float32``, or ``bfloat16`` on a CPU.

    Examples
    --------
    ::

        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        make_pipeline(Embedder("model"), LogisticRegression()).fit(sequences, labels)
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        layer: int | None = None,
        pooling: str = "mean",
        strand: str = "average",
        stride: int | None = None,
        device: str = "auto",
        max_memory_gib: float | None = None,
        precision: str = "float32",
    ) -> None:
        self.model = model
        self.layer = layer
        self.pooling = pooling
        self.strand = strand
        self.stride = stride
        self.device = device
        self.max_memory_gib = max_memory_gib
        self.precision = precision
        self._loaded: tuple[tuple[object, ...], Predictor] | None = None

    def fit(self, sequences: Iterable[str], y: object = None) -> "Embedder":
        """Do nothing, and return the embedder."""
        return self

    def transform(self, sequences: Iterable[str]) -> Float32[np.ndarray, "sequence channel"]:
        """Return the embedding of each sequence.

        Parameters
        ----------
        sequences
            Letters of each sequence, in upper or lower case.

        Raises
        ------
        InputError
            If an option is invalid, or a sequence is empty, too long or not DNA.
        """
        if Pooling.from_text(self.pooling).width:
            raise InputError(
                f"a pooling to one vector per sequence is one of {', '.join(POOLED)}; got "
                f"{self.pooling!r}, for which use megabase.embed"
            )
        rows = embed(
            self._predictor(), sequences, layer=self.layer, pooling=self.pooling,
            strand=self.strand, stride=self.stride,
        )  # fmt: skip
        if not rows:
            raise InputError("expected at least one sequence, got none")
        return np.stack(rows)

    def fit_transform(
        self, sequences: Iterable[str], y: object = None
    ) -> Float32[np.ndarray, "sequence channel"]:
        """Return `transform` of the sequences; there is nothing to fit."""
        return self.transform(sequences)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        return {name: getattr(self, name) for name in _names()}

    def set_params(self, **params: Any) -> "Embedder":
        """Set parameters by name, and return the embedder."""
        for name, value in params.items():
            if name not in _names():
                raise InputError(
                    f"a parameter of Embedder is one of {', '.join(_names())}; got {name!r}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"Embedder({given})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}  # a copy loads its own

    def _predictor(self) -> Predictor:
        """Return the model of the current parameters; load it only after one of them changed."""
        key = (self.model, self.device, self.max_memory_gib, self.precision)
        if self._loaded is None or self._loaded[0] != key:
            predictor = Predictor.load(
                self.model, device=self.device, max_memory_gib=self.max_memory_gib,
                precision=self.precision,
            )  # fmt: skip
            self._loaded = (key, predictor)
        return self._loaded[1]


def _names() -> list[str]:
    return [name for name in inspect.signature(Embedder.__init__).parameters if name != "self"]


_UNKNOWN = DNA_VOCABULARY.unknown_id

READOUTS = ("log_likelihood", "log_likelihoods", "embedding")
"""Outputs: log-likelihood of the sequence, of each base, or the mean of the hidden states."""


class OneHotModel(nn.Module):
    r"""A model for one-hot letters, the input of tangermeme and other attribution tools.

    The model reads the one-hot columns v of a sequence as :math:`v W` with its embedding W. A
    column of zeros is N; if a column sums to less than 1, the rest is read as that much N. The
    output is differentiable in v everywhere. The log-likelihood is linear in v as a prediction
    target: a column that mixes bases gets the same mixture of their log-likelihoods. The memory of
    a model that has one reads the letter that makes up more than half of a column, or N, and
    passes no gradient.

    Parameters
    ----------
    model
        A causal language model in evaluation mode; it is shared, not copied.
    readout
        One of `READOUTS`. ``log_likelihood``: of the sequence in nats, (batch, 1).
        ``log_likelihoods``: of each base in nats, (batch, length), 0 at N. ``embedding``: the
        mean of the last hidden states over all positions, N included, (batch, d_model).
    gaps
        For a model whose memory begins with an index: what does not count of it.

    Raises
    ------
    InputError
        If the readout is unknown.
    """

    def __init__(
        self, model: LanguageModel, readout: str = "log_likelihood", *, gaps: Gaps = ()
    ) -> None:
        if readout not in READOUTS:
            raise InputError(f"the readout must be one of {', '.join(READOUTS)}; got {readout!r}")
        super().__init__()
        self.model = model
        self.readout = readout
        self._gaps = gaps
        self.train(model.training)  # tools save this mode and restore it for all submodules

    def forward(self, one_hot: Num[Tensor, "batch row length"]) -> Float[Tensor, "batch output"]:
        """Compute the readout, one row for each sequence.

        Parameters
        ----------
        one_hot
            Rows A, C, G, T; integers are converted to floats.

        Raises
        ------
        InputError
            If there are not four rows, or the sequences are longer than the model reads.
        """
        if one_hot.shape[1] != len(DNA_VOCABULARY.base_ids):
            raise InputError(
                "expected one-hot letters (batch, 4, length) with the rows A C G T; got "
                f"{tuple(one_hot.shape)}"
            )
        weight = self.model.backbone.embedding.weight
        letters = one_hot.to(weight.dtype).transpose(1, 2)
        embedded = self._embed(letters)
        features = self._remember(letters)
        if self.readout == "embedding":
            return self.model.last_states(embedded, features=features).mean(dim=1)
        logits = self.model.logits(inputs_embeds=embedded, features=features)
        # Logits after token t predict token t + 1; equal logits give the first base 1/4.
        before = torch.cat([torch.zeros_like(logits[:, :1]), logits[:, :-1]], dim=1)
        values = (letters * base_log_probabilities(before)).sum(dim=-1)
        return values.sum(dim=1, keepdim=True) if self.readout == "log_likelihood" else values

    def _embed(
        self, letters: Float[Tensor, "batch length row"]
    ) -> Float[Tensor, "batch length d_model"]:
        """Mix the embeddings of the bases, and that of N with the rest to a sum of 1."""
        weight = self.model.backbone.embedding.weight
        bases = weight[list(DNA_VOCABULARY.base_ids)]
        lacking = 1.0 - letters.sum(dim=-1, keepdim=True)
        return letters @ bases + lacking * weight[_UNKNOWN]

    def _remember(
        self, letters: Float[Tensor, "batch length row"]
    ) -> Float[Tensor, "batch length feature"] | None:
        """Return the features of the memory, if the model has one."""
        memory = self.model.backbone.memory
        if memory is None:
            return None
        share, base = letters.detach().max(dim=-1)
        tokens = torch.where(share > 0.5, base + DNA_VOCABULARY.base_ids[0], _UNKNOWN)
        return memory.features(tokens, gaps=[self._gaps] * len(tokens))
