"""The genomes of a run: opened, split, and ready to draw windows from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from megabase.data.remembered_windows import (
    GenomeText,
    MemoryAfter,
    NewMemory,
    SegmentMixture,
    SegmentPlan,
    features_of_windows,
    memory_after,
)
from megabase.data.token_store import StoredWindow, TokenStore, open_token_store
from megabase.data.training_windows import (
    Mixture,
    WindowSampler,
    WindowSource,
    spread_windows,
)
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import check_contig, check_inside
from megabase.genome.split import (
    Parts,
    Split,
    hold_out_contigs,
    hold_out_regions,
    hold_out_tail,
    overlap_bp,
)
from megabase.io.annotation import read_regions
from megabase.io.derived_files import file_sha256
from megabase.runtime.location import cache_folder, genome_path
from megabase.training.run_config import GenomeConfig, PretrainConfig, SplitConfig


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
        records = read_regions(folder / regions, store.lengths, store.name)
        return [record.interval for record in records]
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


@dataclass(frozen=True)
class Source:
    """One genome: its file, its tokens and its split."""

    path: str
    store: TokenStore
    split: Split
    weight: float


class Sources:
    """All genomes of a run.

    Parameters
    ----------
    config
        The run.

    Raises
    ------
    InputError
        If a genome or its split is invalid, or one name trains on what another holds out.
    """

    def __init__(self, config: PretrainConfig) -> None:
        self._config = config
        self.by_name = {name: _open(genome, config) for name, genome in config.sources().items()}
        _check_apart(self.by_name)
        stores = open_stores(Path(config.genome_folder, path) for path in config.remember)
        self._earlier = [GenomeText(store, store.contigs()) for store in stores]

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each genome's tokens (and case, if used) and of BED files."""
        stores = {name: source.store for name, source in self.by_name.items()}
        hashes = {f"{name}.tokens": store.sha256 for name, store in stores.items()}
        if self._config.soft_mask_weight != 1.0:
            hashes |= {f"{name}.case": store.case_sha256 for name, store in stores.items()}
        for name, genome in self._config.sources().items():
            split = genome.split or SplitConfig()
            for key in ("test_regions", "validation_regions"):
                if isinstance(file := getattr(split, key), str):
                    hashes[f"{name}.{key}"] = file_sha256(Path(self._config.genome_folder) / file)
        earlier = zip(self._config.remember, self._earlier, strict=True)
        return hashes | {f"remember {path}": text.store.sha256 for path, text in earlier}

    def record(self) -> dict[str, Any]:
        """Return path, hash and split, as lists of [contig, start, end], of each genome."""
        return {
            name: {
                "path": source.path,
                "sha256": source.store.sha256,
                "split": {
                    part: [[i.contig, i.start, i.end] for i in getattr(source.split, part)]
                    for part in ("train", "validation", "test")
                },
            }
            for name, source in self.by_name.items()
        }

    def texts(self) -> dict[str, GenomeText]:
        """Return the training regions of each genome as one text, by name."""
        return {
            name: GenomeText(source.store, source.split.train)
            for name, source in self.by_name.items()
        }

    def mixture(self, new_memory: NewMemory | None = None) -> WindowSource:
        """Return the mixture that draws windows from the training splits.

        Parameters
        ----------
        new_memory
            Creates memories, for a model that has one.

        Raises
        ------
        InputError
            If no region of a genome is long enough, or nearly all of it is N.
        """
        config = self._config
        samplers = {
            name: WindowSampler(
                source.store,
                source.split.train,
                longest=config.context_length,
                reverse_complement_p=config.reverse_complement_p,
                max_unknown_fraction=config.max_unknown_fraction,
            )
            for name, source in self.by_name.items()
        }
        weights = [source.weight for source in self.by_name.values()]
        mixture = Mixture(samplers, weights, seed=config.seed)
        if new_memory is None:
            return mixture
        n_letters = config.open_segments * config.segment_length
        return SegmentMixture(
            self.texts(),
            weights,
            new_memory=new_memory,
            plan=SegmentPlan(
                n_open=config.open_segments,
                length=config.segment_length,
                steps=max(1, n_letters // max(config.tokens_per_step, config.context_length)),
                short_p=config.short_memory_p,
                alone_p=config.window_memory_p,
            ),
            reverse_complement_p=config.reverse_complement_p,
            max_unknown_fraction=config.max_unknown_fraction,
            seed=config.seed,
            earlier=self._earlier,
        )

    def validation_windows(
        self, new_memory: NewMemory | None = None, after: MemoryAfter | None = None
    ) -> dict[str, list[StoredWindow]]:
        """Return evenly spread windows of each validation split, if it has any, by genome.

        Parameters
        ----------
        new_memory
            Creates memories, for a model that has one: each window then has the features of a
            memory that has read the training split and everything before it on its contig.
        after
            Creates memories that begin after a base, which takes less time if there are several
            contigs.
        """
        length = self._config.context_length
        found = {
            name: spread_windows(
                source.store,
                source.split.validation,
                length=length,
                n=self._config.validation_windows,
                # A window without any base has no loss.
                max_unknown=min(int(self._config.max_unknown_fraction * length), length - 1),
            )
            for name, source in self.by_name.items()
        }
        if new_memory is not None:
            longest = max(sum(source.store.lengths.values()) for source in self.by_name.values())
            new_after = memory_after(new_memory, self._earlier, expected=longest)
            found = {
                name: self._remembered(new_after, self.by_name[name], windows, after)
                for name, windows in found.items()
            }
        return {name: windows for name, windows in found.items() if windows}

    @staticmethod
    def _remembered(
        new_memory: NewMemory,
        source: Source,
        windows: Sequence[StoredWindow],
        after: MemoryAfter | None,
    ) -> list[StoredWindow]:
        intervals = [window.interval for window in windows]
        features = features_of_windows(
            new_memory, source.store, intervals, source.split.train, after=after
        )
        return [
            replace(window, memory=of_window)
            for window, of_window in zip(windows, features, strict=True)
        ]


def open_stores(paths: Iterable[Path]) -> list[TokenStore]:
    """Open the token stores of genome files."""
    return [open_token_store(path, cache=cache_folder()) for path in paths]


def _open(genome: GenomeConfig, config: PretrainConfig) -> Source:
    folder = Path(config.genome_folder)
    path = genome_path(genome.path)
    store = open_token_store(folder / path, cache=cache_folder())
    split = make_split(
        genome.split or config.split,
        store,
        contigs=genome.contigs,
        context_length=config.context_length,
        folder=folder,
    )
    is_asset = genome.path.startswith("asset:")
    return Source(genome.path if is_asset else str(folder / path), store, split, genome.weight)


def _check_apart(sources: Mapping[str, Source]) -> None:
    """Raise an InputError if a genome trains on bases that it holds out under another name."""
    for (one, learns), (other, holds) in permutations(sources.items(), 2):
        held = (*holds.split.test, *holds.split.validation)
        if learns.store.sha256 == holds.store.sha256 and overlap_bp(learns.split.train, held):
            raise InputError(
                f"genomes {one!r} and {other!r} are the same genome, and {one!r} trains on bases "
                f"that {other!r} holds out; give both the same split"
            )
