"""The table of substitutions: rows from arrays, and arrays from rows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float64

from megabase.errors import InputError
from megabase.genome.alphabet import DNA
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.site import substitution_sites
from megabase.io.bed import BedRecord

COLUMNS = ("contig", "position", "ref", "alt", "region")
"""Of each row, before the ratios."""

Ratios = Float64[np.ndarray, "length 4"]


def forward_letters(reference: Reference, interval: Interval) -> str:
    """Give the letters of the forward strand in capitals, whichever the interval is of."""
    return reference.fetch(replace(interval, strand="+")).upper()


def is_substitution(letters: str) -> Bool[np.ndarray, "length 4"]:
    """Tell which of A, C, G, T replace each letter: none where that is none of them."""
    found, bases = np.array(list(letters))[:, None], np.array(list(DNA.bases))
    return (found != bases) & np.isin(found, bases)


def rows_of(
    reference: Reference, record: BedRecord, ratios: Mapping[str, Ratios]
) -> Iterator[Mapping[str, object]]:
    """Give a row for each substitution of a region.

    Parameters
    ----------
    reference, record
        The genome and the region.
    ratios
        By column, of A, C, G, T in the place of each base.
    """
    for key, at in _keys(reference, record.interval):
        numbers = {column: float(values[at]) for column, values in ratios.items()}
        yield dict(zip(COLUMNS, (*key, record.name), strict=True)) | numbers


def ratios_of(
    rows: Iterator[Mapping[str, str]], reference: Reference, record: BedRecord, column: str
) -> Ratios:
    """Take the rows of a region from those of a table, and put them in their places.

    Raises
    ------
    InputError
        If they are others than `rows_of` gives.
    """
    ratios = np.full((len(record.interval), len(DNA.bases)), np.nan)
    letters = forward_letters(reference, record.interval)
    known = np.array([letter in DNA.bases for letter in letters])
    ratios[~is_substitution(letters) & known[:, None]] = 0.0
    keys = list(_keys(reference, record.interval))
    found = list(islice(rows, len(keys)))
    if [tuple(row[name] for name in COLUMNS[:4]) for row in found] != [
        (contig, str(position), ref, alt) for (contig, position, ref, alt), _ in keys
    ]:
        raise InputError(
            f"the rows of {record.name} are not as they were written; make the table again, with "
            "--overwrite"
        )
    for (_, at), row in zip(keys, found, strict=True):
        ratios[at] = float(row[column])
    return ratios


def _keys(
    reference: Reference, interval: Interval
) -> Iterator[tuple[tuple[str, int, str, str], tuple[int, int]]]:
    """Give contig, position, ref and alt of each row in order, and where its ratio stands."""
    letters = forward_letters(reference, interval)
    for site in substitution_sites(interval.contig, letters, start=interval.start):
        for alt in site.alts:
            place = site.position - interval.start, DNA.bases.index(alt)
            yield (site.contig, site.position, site.ref, alt), place
