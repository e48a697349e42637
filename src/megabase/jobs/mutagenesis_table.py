"""The table of substitutions: convert arrays to rows, and rows to arrays."""

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
"""Columns of the table before the ratios."""

Ratios = Float64[np.ndarray, "length 4"]


def forward_letters(reference: Reference, interval: Interval) -> str:
    """Return the letters of an interval on the forward strand in upper case."""
    return reference.fetch(replace(interval, strand="+")).upper()


def is_substitution(letters: str) -> Bool[np.ndarray, "length 4"]:
    """Return where A, C, G, T differ from each letter; all False if the letter is another."""
    found, bases = np.array(list(letters))[:, None], np.array(list(DNA.bases))
    return (found != bases) & np.isin(found, bases)


def rows_of(
    reference: Reference, record: BedRecord, ratios: Mapping[str, Ratios]
) -> Iterator[Mapping[str, object]]:
    """Yield a row for each substitution of a region.

    Parameters
    ----------
    reference
        The genome.
    record
        The region.
    ratios
        Ratios of A, C, G, T at each base, by column of the table.
    """
    for key, at in _keys(reference, record.interval):
        numbers = {column: float(values[at]) for column, values in ratios.items()}
        yield dict(zip(COLUMNS, (*key, record.name), strict=True)) | numbers


def ratios_of(
    rows: Iterator[Mapping[str, str]], reference: Reference, record: BedRecord, column: str
) -> Ratios:
    """Read the next rows of a table, which must be those of a region, into an array.

    Parameters
    ----------
    rows
        Rows of the table, consumed up to the end of the region.
    reference
        The genome.
    record
        The region.
    column
        Column of the ratios.

    Returns
    -------
    ratios
        Ratios of A, C, G, T at each base: 0 for the base of the genome, NaN if that is N.

    Raises
    ------
    InputError
        If the rows are not those that `rows_of` yields.
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
            f"the rows of {record.name} have changed since they were written; recompute the table "
            "with --overwrite"
        )
    for (_, at), row in zip(keys, found, strict=True):
        ratios[at] = float(row[column])
    return ratios


def _keys(
    reference: Reference, interval: Interval
) -> Iterator[tuple[tuple[str, int, str, str], tuple[int, int]]]:
    """Yield contig, position, ref and alt of each row in order, and the index of its ratio."""
    letters = forward_letters(reference, interval)
    for site in substitution_sites(interval.contig, letters, start=interval.start):
        for alt in site.alts:
            place = site.position - interval.start, DNA.bases.index(alt)
            yield (site.contig, site.position, site.ref, alt), place
