"""A validation split that shares no sequence with the rest, and nested subsets of rows."""

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
    """Split rows into training and validation, stratified, without dividing any group.

    A group belongs to the stratum of most of its rows. In each stratum, groups are visited in
    random order, and a group goes to validation if the stratum's share is not exceeded. A
    stratum of two or more groups always gives at least one group to validation (the smallest
    if every group exceeds the share) and keeps at least one for training.

    Parameters
    ----------
    groups
        The group of each row.
    strata
        The stratum of each row, such as its class.
    fraction
        Fraction of the rows for validation.
    seed
        Seed of the random order.

    Returns
    -------
    training, validation
        Row numbers, from 0, in ascending order.

    Raises
    ------
    InputError
        If either split would be empty.
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
            f"{len(groups):,} rows of {len(rows_of):,} different sequences are too few to hold out "
            "a validation split; give more rows, or --validation"
        )
    return np.array(training, dtype=np.int64), np.array(sorted(validation), dtype=np.int64)


def _share(groups: list[list[int]], fraction: float, rng: np.random.Generator) -> list[int]:
    """Return the rows of a stratum that go to validation; at least one group is left."""
    n_rows = sum(map(len, groups))
    share = max(1, round(fraction * n_rows))
    taken: list[int] = []
    n_left = len(groups)
    for number in rng.permutation(len(groups)):
        if n_left > 1 and len(taken) + len(groups[number]) <= share:
            taken += groups[number]
            n_left -= 1
    return taken if taken or n_left < 2 else min(groups, key=len)


def strand_key(tokens: UInt8[np.ndarray, " length"]) -> bytes:
    """Return a key that is equal for a sequence and its reverse complement, and only for them."""
    return min(tokens.tobytes(), DNA_VOCABULARY.reverse_complement(tokens).tobytes())


def joined_groups(sequences: Sequence[Hashable], places: Sequence[Interval]) -> list[Hashable]:
    """Return the group of each row; rows of equal sequences or overlapping intervals share one.

    Parameters
    ----------
    sequences
        A key of each row's sequence, such as the result of `strand_key`.
    places
        The interval of each row in the genome; the strand is ignored.

    Examples
    --------
    >>> places = [Interval("I", 0, 5), Interval("I", 4, 9), Interval("I", 9, 12)]
    >>> first, second, third = joined_groups(["AACGT", "TTGGA", "CCC"], places)
    >>> first == second, second == third
    (True, False)
    """
    # Disjoint sets (union-find): keys that lead to the same root are one group. The keys are
    # sequences and numbers of clusters; each row joins its sequence and its cluster.
    leader: dict[Hashable, Hashable] = {}

    def led(key: Hashable) -> Hashable:
        while (other := leader.setdefault(key, key)) != key:
            leader[key] = leader[other]  # halve the path, so that later look-ups are short
            key = other
        return key

    # Sorted by start, an interval begins a new cluster if it starts after all earlier ones end.
    cluster, contig, end = 0, "", 0
    for row in sorted(range(len(places)), key=lambda row: (places[row].contig, places[row].start)):
        place = places[row]
        if place.contig != contig or place.start >= end:
            cluster, contig, end = cluster + 1, place.contig, place.end
        end = max(end, place.end)
        leader[led(sequences[row])] = led(cluster)
    return [led(key) for key in sequences]


def strata_of_values(values: Sequence[float], n_strata: int = 10) -> list[int]:
    """Return the quantile of each value as its stratum, from 0.

    Parameters
    ----------
    values
        One finite value per row.
    n_strata
        Number of strata, of about equal size.

    Examples
    --------
    >>> strata_of_values([3.0, 1.0, 2.0, 4.0], n_strata=2)
    [1, 0, 0, 1]
    """
    edges = np.quantile(values, np.arange(1, n_strata) / n_strata)
    return np.searchsorted(edges, values, side="left").tolist()


def strata_of_labels(truths: Shaped[np.ndarray, "row label"]) -> list[int]:
    """Return as the stratum of each row the rarest of its labels.

    Rows without a label form a stratum of their own. Stratifying by the rarest label keeps rare
    labels in both splits, as in Sechidis et al. 2011, "On the stratification of multi-label
    data", ECML PKDD, section 3.

    Parameters
    ----------
    truths
        1 where a row has a label, 0 elsewhere.

    Examples
    --------
    >>> strata_of_labels(np.array([[1, 1], [1, 0], [0, 0]]))
    [1, 0, 2]
    """
    of_label = truths.sum(axis=0, dtype=np.int64)
    # A label that a row lacks counts as more frequent than any label, so argmin ignores it.
    counts = np.where(truths.astype(bool), of_label, len(truths) + 1)
    return np.where(truths.any(axis=1), counts.argmin(axis=1), truths.shape[1]).tolist()


def nested_order(strata: Sequence[int], *, seed: int) -> Int64[np.ndarray, " row"]:
    """Return an order of rows such that the first n rows are a stratified subset, for every n.

    The rows of each stratum are shuffled, and the strata are interleaved evenly: the j-th of the
    m rows of a stratum has the key (j - 1/2) / m, and ties are in random order. Among the first
    n rows, each stratum has its share of n to within about one row.

    Parameters
    ----------
    strata
        The stratum of each row, such as its class.
    seed
        Seed of the shuffle.

    Returns
    -------
    order
        Row numbers, from 0.

    Examples
    --------
    >>> strata = [0, 0, 0, 0, 1, 1]
    >>> [strata[row] for row in nested_order(strata, seed=0)[:3]].count(1)
    1
    """
    drawn = np.random.default_rng(seed).permutation(len(strata))
    sizes = Counter(strata)
    seen: Counter[int] = Counter()
    places = np.empty(len(strata))
    for place, row in enumerate(drawn):
        stratum = strata[row]
        places[place] = (seen[stratum] + 0.5) / sizes[stratum]
        seen[stratum] += 1
    return drawn[np.argsort(places, kind="stable")].astype(np.int64)
