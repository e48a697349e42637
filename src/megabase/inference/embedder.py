"""Embedder: embeddings of sequences as a scikit-learn transformer."""

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float32

from megabase.errors import InputError
from megabase.inference.letters import embed
from megabase.inference.pooling import Pooling
from megabase.inference.predictor import Predictor
from megabase.model.architecture import POOLED
from megabase.run.location import DEFAULT_MODEL


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
