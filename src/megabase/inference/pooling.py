"""What is made of hidden states: which layer, and how they are pooled."""

from dataclasses import dataclass

from megabase.errors import InputError
from megabase.model.architecture import POOLED

_WINDOW = "window"


@dataclass(frozen=True)
class Pooling:
    """What is made of the hidden states of a sequence.

    Parameters
    ----------
    kind
        ``"mean"`` of all tokens; ``"max"`` of each channel over all tokens; ``"last"``, the
        token that was read last and so has seen all others, which on the other strand is
        the first of the sequence; ``"centre"``, the token at position length // 2;
        ``"none"``: each token; ``"window"``: the mean of each `width` consecutive
        positions, of which the last may be fewer.
    width
        Base pairs of a window; 1 for each token, 0 where there is one vector.
    """

    kind: str
    width: int = 0

    @classmethod
    def from_text(cls, text: str) -> "Pooling":
        """Read what people write; an InputError if there is no such pooling.

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
            f"a pooling is one of none, {', '.join(POOLED)}, or window:W for the means of W bp, "
            f"as window:128; got {text!r}"
        )

    def __str__(self) -> str:
        return f"{self.kind}:{self.width}" if self.kind == _WINDOW else self.kind

    def n_rows(self, length: int) -> int:
        """Give the vectors that a sequence has.

        Examples
        --------
        >>> Pooling.from_text("window:128").n_rows(300)
        3
        """
        return -(-length // self.width) if self.width else 1


MEAN = Pooling("mean")
"""What is done unless told otherwise."""


def check_layer(layer: int | None, n_layer: int) -> int:
    """Give the number of a layer, the last if None; an InputError if the model has none such."""
    if layer is None:
        return n_layer
    if not 0 <= layer <= n_layer:
        raise InputError(
            f"a layer is from 0, the embedding, to {n_layer}, the last of this model; got {layer}"
        )
    return layer
