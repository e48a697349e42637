"""Choice of the layer, and pooling of its hidden states."""

from dataclasses import dataclass

from megabase.errors import InputError
from megabase.model.architecture import POOLED

_WINDOW = "window"


@dataclass(frozen=True)
class Pooling:
    """How the hidden states of a sequence are pooled.

    Parameters
    ----------
    kind
        ``"mean"`` over all tokens; ``"max"`` of each channel over all tokens; ``"last"``, the
        token that is read last and has seen all others, which for the reverse strand is the
        first of the sequence; ``"centre"``, the token at position length // 2; ``"none"``, each
        token; or ``"window"``, the means of `width` consecutive positions, of which the last
        window may have fewer.
    width
        Base pairs of a window; 1 for ``"none"``, 0 for a pooling to one vector.
    """

    kind: str
    width: int = 0

    @classmethod
    def from_text(cls, text: str) -> "Pooling":
        """Read a pooling such as ``mean``, ``none`` or ``window:128``.

        Raises
        ------
        InputError
            If it is not a valid pooling.

        Examples
        --------
        >>> Pooling.from_text("window:128")
        Pooling(kind='window', width=128)
        """
        kind, _, width = text.partition(":")
        if text in POOLED:
            return cls(text)
        if text == "none":
            return cls(text, 1)
        if kind == _WINDOW and width.isdecimal() and int(width) > 0:
            return cls(kind, int(width))
        raise InputError(
            f"the pooling must be none, {', '.join(POOLED)}, or window:W for the means of W bp, "
            f"such as window:128; got {text!r}"
        )

    def __str__(self) -> str:
        return f"{self.kind}:{self.width}" if self.kind == _WINDOW else self.kind

    def n_rows(self, length: int) -> int:
        """Return the number of vectors for a sequence of this length in bp.

        Examples
        --------
        >>> Pooling.from_text("window:128").n_rows(300)
        3
        """
        return -(-length // self.width) if self.width else 1


MEAN = Pooling("mean")
"""The default pooling."""


def check_layer(layer: int | None, n_layer: int) -> int:
    """Return the number of a layer.

    Parameters
    ----------
    layer
        0 for the embedding, k for the output of block k; None: the last layer.
    n_layer
        Number of blocks of the model.

    Raises
    ------
    InputError
        If the model has no such layer.
    """
    if layer is None:
        return n_layer
    if not 0 <= layer <= n_layer:
        raise InputError(
            f"the layer must be from 0 (the embedding) to {n_layer} (the last of this model); "
            f"got {layer}"
        )
    return layer
