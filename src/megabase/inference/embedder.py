"""Embedder: embeddings of sequences as a transformer in the sense of scikit-learn."""

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
    """Turns DNA into one vector a sequence; it stands in a scikit-learn Pipeline.

    There is nothing to fit. The model is loaded when it is first needed, and again in a
    copy, a clone or another process.

    Parameters
    ----------
    model
        What `model.load` takes.
    layer
        As of `hidden_states`.
    pooling
        One of `model.config.POOLED`.
    strand
        As of `embed.embed`.
    stride
        Bases from window to window where a sequence is longer than the context; None: such a
        sequence is an error.
    device, max_memory_gib, precision
        As of `Predictor`.

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
        """Do nothing; give the embedder itself."""
        return self

    def transform(self, sequences: Iterable[str]) -> Float32[np.ndarray, "sequence channel"]:
        """Give the embedding of each sequence.

        Parameters
        ----------
        sequences
            Letters of each, in either case.

        Raises
        ------
        InputError
            If an option cannot be honoured, or a sequence is empty, too long or no DNA.
        """
        if Pooling.from_text(self.pooling).width:
            raise InputError(
                f"one vector a sequence is {', '.join(POOLED)}; got pooling {self.pooling!r}, "
                "which megabase.embed does"
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
        """Give the embedding of each sequence, as `transform`."""
        return self.transform(sequences)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the parameters by name."""
        return {name: getattr(self, name) for name in _names()}

    def set_params(self, **params: Any) -> "Embedder":
        """Set parameters by name; give the embedder itself."""
        for name, value in params.items():
            if name not in _names():
                raise InputError(f"an Embedder has {', '.join(_names())}; got {name!r}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"Embedder({given})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}  # a copy loads its own

    def _predictor(self) -> Predictor:
        """Give the model as the parameters say, loaded once for each state of theirs."""
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
