"""The split of a genome that a SplitConfig asks for."""

from collections.abc import Sequence
from pathlib import Path

from megabase.data.region_file import read_regions
from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import check_contig
from megabase.genome.split import (
    Parts,
    Split,
    hold_out_contigs,
    hold_out_regions,
    hold_out_tail,
)
from megabase.training.config import SplitConfig


def make_split(config: SplitConfig, store: TokenStore) -> Split:
    """Split the contigs of a genome into training, validation and test.

    Parameters
    ----------
    config
        How.
    store
        The genome.

    Raises
    ------
    InputError
        If a contig or region is not of the genome, one contig is asked for twice, or
        nothing is left to train on.
    """
    for contig in (*config.test_contigs, *config.validation_contigs):
        check_contig(contig, store.lengths, store.name)
    if twice := set(config.test_contigs) & set(config.validation_contigs):
        raise InputError(f"contig {min(twice)!r} cannot be both for the test and for validation")
    rest, test = _hold_out(
        store,
        store.contigs(),
        config.test_contigs,
        config.test_regions,
        config.test_fraction,
    )
    train, validation = _hold_out(
        store,
        rest,
        config.validation_contigs,
        config.validation_regions,
        config.validation_fraction,
    )
    if not train:
        raise InputError(f"the split leaves nothing of {store.name} to train on; hold out less")
    return Split(tuple(train), tuple(validation), tuple(test))


def _hold_out(
    store: TokenStore,
    intervals: Sequence[Interval],
    contigs: Sequence[str],
    regions: str | None,
    fraction: float,
) -> Parts:
    if contigs:
        return hold_out_contigs(intervals, contigs)
    if regions:
        return hold_out_regions(intervals, read_regions(Path(regions), store))
    return hold_out_tail(intervals, fraction)
