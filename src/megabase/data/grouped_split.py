"""A validation part that shares no sequence with the rest, on neither strand."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY


def grouped_split(
    groups: Sequence[Hashable], strata: Sequence[int], *, fraction: float, seed: int
) -> tuple[Int64[np.ndarray, " training"], Int64[np.ndarray, " validation"]]:
    """Part rows in two; a group is never parted, and each stratum gives its share.

    A group is of the stratum of most of its rows. Of each stratum groups are taken, in an
    order that the seed fixes, as long as its share is not passed; where the stratum has two
    groups or more, one at least, the smallest if all are above the share.

    Parameters
    ----------
    groups
        The group of each row.
    strata
        The stratum of each row, such as its class.
    fraction
        Of the rows that validation gets.
    seed
        Fixes the draw.

    Returns
    -------
    training, validation
        The numbers of their rows, from 0, in order.

    Raises
    ------
    InputError
        If either would be empty.
    """
    rows_of: dict[Hashable, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        rows_of[group].append(row)
    groups_of: dict[int, list[list[int]]] = defaultdict(list)
    for rows in rows_of.values():
        counts = Counter(strata[row] for row in rows)
        groups_of[min(counts, key=lambda stratum: (-counts[stratum], stratum))].append(rows)
    rng = np.random.default_rng(seed)
    validation: list[int] = []
    for stratum in sorted(groups_of):
        validation += _share(groups_of[stratum], fraction, rng)
    training = sorted(set(range(len(groups))) - set(validation))
    if not validation or not training:
        raise InputError(
            f"{len(groups):,} rows of {len(rows_of):,} different sequences cannot be split for "
            "validation; give more rows, or --validation"
        )
    return np.array(training, dtype=np.int64), np.array(sorted(validation), dtype=np.int64)


def _share(groups: list[list[int]], fraction: float, rng: np.random.Generator) -> list[int]:
    """Take groups of a stratum until its share is reached, and leave one at least."""
    n_rows = sum(map(len, groups))
    share = max(1, round(fraction * n_rows))
    taken: list[int] = []
    n_left = len(groups)
    for number in rng.permutation(len(groups)):
        if n_left > 1 and len(taken) + len(groups[number]) <= share:
            taken += groups[number]
            n_left -= 1
    return taken if taken or n_left < 2 else min(groups, key=len)


def either_strand(tokens: UInt8[np.ndarray, " length"]) -> bytes:
    """Give a key that a sequence shares with its reverse complement, and with no other."""
    return min(tokens.tobytes(), DNA_VOCABULARY.reverse_complement(tokens).tobytes())


def joined_groups(sequences: Sequence[Hashable], places: Sequence[Interval]) -> list[Hashable]:
    """Give the group of each row: rows of one sequence, or of places that overlap, share it.

    Parameters
    ----------
    sequences
        A key of each row's sequence, as of `either_strand`.
    places
        Where each stands in the genome, on whichever strand.

    Examples
    --------
    >>> places = [Interval("I", 0, 5), Interval("I", 4, 9), Interval("I", 9, 12)]
    >>> first, second, third = joined_groups(["AACGT", "TTGGA", "CCC"], places)
    >>> first == second, second == third
    (True, False)
    """
    leader: dict[Hashable, Hashable] = {}

    def led(key: Hashable) -> Hashable:
        while (other := leader.setdefault(key, key)) != key:
            leader[key] = leader[other]
            key = other
        return key

    cluster, contig, end = 0, "", 0
    for row in sorted(range(len(places)), key=lambda row: (places[row].contig, places[row].start)):
        place = places[row]
        if place.contig != contig or place.start >= end:
            cluster, contig, end = cluster + 1, place.contig, place.end
        end = max(end, place.end)
        leader[led(sequences[row])] = led(cluster)
    return [led(key) for key in sequences]


def strata_of_values(values: Sequence[float], n_strata: int = 10) -> list[int]:
    """Give the stratum of each number: as many of about equal size as there are quantiles.

    Examples
    --------
    >>> strata_of_values([3.0, 1.0, 2.0, 4.0], n_strata=2)
    [1, 0, 0, 1]
    """
    edges = np.quantile(values, np.arange(1, n_strata) / n_strata)
    return np.searchsorted(edges, values, side="left").tolist()


def strata_of_labels(truths: Shaped[np.ndarray, "row label"]) -> list[int]:
    """Give the stratum of each row by the rarest of its labels; rows without one have their own.

    So the rarest labels are the last to be missing on a side, as in Sechidis et al. 2011, "On
    the stratification of multi-label data", ECML PKDD, section 3.

    Examples
    --------
    >>> strata_of_labels(np.array([[1, 1], [1, 0], [0, 0]]))
    [1, 0, 2]
    """
    of_label = truths.sum(axis=0, dtype=np.int64)
    counts = np.where(truths.astype(bool), of_label, len(truths) + 1)
    return np.where(truths.any(axis=1), counts.argmin(axis=1), truths.shape[1]).tolist()
