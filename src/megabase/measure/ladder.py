"""Lengths that double."""


def doubling(first: int, last: int) -> list[int]:
    """Return `first`, doubled as long as it is below `last`, and then `last`.

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
