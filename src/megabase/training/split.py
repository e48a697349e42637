"""Split a genome as a configuration requests."""

from collections.abc import Sequence
from pathlib import Path

from megabase.data.region_file import read_regions
from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import check_contig, check_inside
from megabase.genome.split import (
    Parts,
    Split,
    hold_out_contigs,
    hold_out_regions,
    hold_out_tail,
)
from megabase.training.config import SplitConfig


def make_split(
    config: SplitConfig,
    store: TokenStore,
    *,
    contigs: Sequence[str] = (),
    context_length: int = 1,
    folder: Path = Path(),
) -> Split:
    """Split the contigs of a genome into training, validation and test.

    A split given as a fraction is extended to one window if a tenth of its interval is at least
    one window long, so that a very small genome still has a window to validate on.

    Parameters
    ----------
    config
        Which contigs, regions or fractions are held out.
    store
        The genome.
    contigs
        The contigs to use; empty: all.
    context_length
        Length of a window in tokens.
    folder
        Base folder of relative paths of BED files.

    Raises
    ------
    InputError
        If a contig or region is not in the genome, a contig is held out but not used, or held
        out for both test and validation, or nothing is left to train on.
    """
    for contig in (*contigs, *config.test_contigs, *config.validation_contigs):
        check_contig(contig, store.lengths, store.name)
    for contig in (*config.test_contigs, *config.validation_contigs):
        if contigs and contig not in contigs:
            raise InputError(f"contig {contig!r} is held out but not in contigs; add it to contigs")
    if twice := set(config.test_contigs) & set(config.validation_contigs):
        raise InputError(
            f"contig {min(twice)!r} is in both test_contigs and validation_contigs; remove it from "
            "one of them"
        )
    used = [whole for whole in store.contigs() if not contigs or whole.contig in contigs]
    rest, test = _hold_out(
        used,
        config.test_contigs,
        _read(config.test_regions, store, folder),
        config.test_fraction,
        context_length,
    )
    train, validation = _hold_out(
        rest,
        config.validation_contigs,
        _read(config.validation_regions, store, folder),
        config.validation_fraction,
        context_length,
    )
    if not train:
        raise InputError(f"the split leaves nothing of {store.name} to train on; hold out less")
    return Split(tuple(train), tuple(validation), tuple(test))


def _read(
    regions: str | Sequence[str] | None, store: TokenStore, folder: Path
) -> list[Interval] | None:
    """Read regions from a BED file or a list of texts."""
    if regions is None:
        return None
    if isinstance(regions, str):
        return read_regions(folder / regions, store)
    intervals = [Interval.from_region(text) for text in regions]
    for interval in intervals:
        check_inside(interval, store.lengths, store.name)
    return intervals


def _hold_out(
    intervals: Sequence[Interval],
    contigs: Sequence[str],
    regions: Sequence[Interval] | None,
    fraction: float,
    at_least: int,
) -> Parts:
    if contigs:
        return hold_out_contigs(intervals, contigs)
    if regions is not None:
        return hold_out_regions(intervals, regions)
    return hold_out_tail(intervals, fraction, at_least=at_least)
