"""The split of a genome that a configuration asks for."""

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

    A part held out as a fraction is at least one window long, where a tenth of its
    stretch is: so a very small genome still has a window to validate on.

    Parameters
    ----------
    config
        How.
    store
        The genome.
    contigs
        The only contigs that are used; all if none is named.
    context_length
        Tokens of a window.
    folder
        Where relative paths of BED files start.

    Raises
    ------
    InputError
        If a contig or region is not of the genome, one contig is asked for twice, or
        nothing is left to train on.
    """
    for contig in (*contigs, *config.test_contigs, *config.validation_contigs):
        check_contig(contig, store.lengths, store.name)
    for contig in (*config.test_contigs, *config.validation_contigs):
        if contigs and contig not in contigs:
            raise InputError(f"contig {contig!r} is held out, and is none of the contigs used")
    if twice := set(config.test_contigs) & set(config.validation_contigs):
        raise InputError(f"contig {min(twice)!r} cannot be both for the test and for validation")
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
    """Read a BED file, or a list of texts."""
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
