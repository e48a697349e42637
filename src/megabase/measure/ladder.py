"""Lengths that double."""


def doubling(first: int, last: int) -> list[int]:
    """Return `first` and its doublings below `last`, followed by `last`.

    Examples
    --------
    >>> doubling(64, 300), doubling(64, 50)
    ([64, 128, 256, 300], [50])
    """
    lengths: list[int] = []
    while first < last:
        lengths.append(first)
        first *= 2
    return [*lengths, last]
