"""Windows together with the features of a memory that has read what precedes them.

A `GenomeText` lays regions of a genome one after another. In training, a few *segments* of such
texts are open at a time; the features of a segment are computed once, by a memory that reads the
text before it and then the segment, and many windows are drawn from it (`SegmentMixture`). No
features of a whole genome are ever stored. For held-out windows, `features_of_windows` lets a
memory read the training regions and everything before each window on its contig.
"""

import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from megabase.data.token_store import TokenStore
from megabase.data.training_windows import GenomeWindow
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.ops.memory import FRONT, UNKNOWN, Features, Gaps, Memory, MemoryBase

NewMemory = Callable[[int], Memory]
"""Returns a memory for about a number of letters, which has read nothing, or always the same."""

MemoryAfter = Callable[[MemoryBase, Gaps, int], Memory]
"""Returns a memory that begins after a base with gaps, for about a number of letters."""

_MAX_DRAWS = 1000  # consecutive windows that cannot be used, after which drawing fails
_MOST_UNKNOWN = 0.5  # fraction of unknown letters in a segment
_PIECE = 1 << 22  # letters of a text that are read at once
_OF_A_SEGMENT, _OF_A_WINDOW = 1, 2  # of the seeds of draws


class GenomeText:
    """The letters of regions of a genome, one region after another, on either strand.

    Between two regions stands one unknown letter. Position p of strand "-" is the complement of
    position n - 1 - p of strand "+", for a text of n letters.

    Parameters
    ----------
    store
        The genome.
    regions
        The regions, in the order of the text.
    """

    def __init__(self, store: TokenStore, regions: Sequence[Interval]) -> None:
        self.store = store
        self._regions = list(regions)
        self._starts = [0, *accumulate(len(region) + 1 for region in regions)]

    def __len__(self) -> int:
        return max(0, self._starts[-1] - 1)

    def read(self, start: int, end: int, strand: str = "+") -> UInt8[np.ndarray, " length"]:
        """Return the numbers of letters (`ops.memory`) from `start` to `end` - 1 of a strand."""
        if strand == "-":
            letters = self.read(len(self) - end, len(self) - start)[::-1]
            return np.where(letters == UNKNOWN, letters, 3 - letters)
        letters = np.full(end - start, UNKNOWN, dtype=np.uint8)
        first = bisect_right(self._starts, start) - 1
        for region, at in zip(self._regions[first:], self._starts[first:], strict=False):
            if at >= end:
                break
            low, high = max(start, at), min(end, at + len(region))
            if low >= high:
                continue
            part = replace(region, start=region.start + low - at, end=region.start + high - at)
            letters[low - start : high - start] = self.store.letters(part)
        return letters

    def places(self) -> Iterator[tuple[Interval, int]]:
        """Yield the regions, and where each begins in the text."""
        return zip(self._regions, self._starts, strict=False)

    def interval(self, start: int, end: int, strand: str) -> Interval | None:
        """Return the place of a part of the text; None if it is not within one region."""
        if strand == "-":
            start, end = len(self) - end, len(self) - start
        which = bisect_right(self._starts, start) - 1
        region, offset = self._regions[which], start - self._starts[which]
        if offset + end - start > len(region):
            return None
        low = region.start + offset
        return Interval(region.contig, low, low + end - start, strand)


def memory_after(new_memory: NewMemory, texts: Sequence[GenomeText], *, expected: int) -> NewMemory:
    """Return what creates memories that have read texts, each followed by an unknown letter.

    The texts are read once, here, and each memory is a copy.

    Parameters
    ----------
    new_memory
        Creates empty memories.
    texts
        The texts, such as genomes of relatives; may be empty.
    expected
        Letters that will be read after them.
    """
    if not texts:
        return new_memory
    whole = new_memory(sum(len(text) + 1 for text in texts) + expected)
    for text in texts:
        _remember_whole(whole, text)
    return lambda _expected: whole.copy()


def remember_text(memory: Memory, text: GenomeText, start: int, end: int, strand: str) -> None:
    """Let a memory read a part of a text."""
    for low in range(start, end, _PIECE):
        memory.remember(text.read(low, min(low + _PIECE, end), strand))


def _remember_whole(memory: Memory, text: GenomeText) -> None:
    """Let a memory read a text and an unknown letter, which separates it from what follows."""
    remember_text(memory, text, 0, len(text), "+")
    memory.remember(np.array([UNKNOWN], np.uint8))


def known_elsewhere(known: Sequence[Interval], contig: str, end: int) -> list[Interval]:
    """Return the known regions that are read before a contig: those that do not precede its end.

    Everything before `end` on the contig itself is read in its own place.

    Parameters
    ----------
    known
        Regions that are known in advance, as those of training.
    contig, end
        The contig that is read, and where reading ends.
    """
    return [each for each in known if each.contig != contig or each.start >= end]


@dataclass(frozen=True)
class SegmentPlan:
    """Which segments are open, and how far their memories reach.

    Parameters
    ----------
    n_open
        Segments that are open at a time.
    length
        Letters of a segment.
    steps
        Steps for which the same segments are open.
    short_p
        Probability that the memory of a segment begins at a random distance before it, from 1
        letter on, rather than at the start of the text; all magnitudes are equally probable.
    alone_p
        Probability that the memory of a window begins with the window.
    """

    n_open: int
    length: int
    steps: int
    short_p: float
    alone_p: float


class _Segment(NamedTuple):
    """A part of a text, and the position at which its memory begins."""

    genome: str
    strand: str
    first: int
    start: int
    end: int


class _Readers(NamedTuple):
    """The threads of a process that read segments, and the features of open segments."""

    process: int
    threads: ThreadPoolExecutor
    features: dict[tuple[int, int], Future[Features]]


class SegmentMixture:
    """Draw each window from the open segments, as a pure function of seed, step and number.

    The windows of a run and their features therefore depend neither on processes nor on
    interruptions. The next segments are read in the background, by two threads.

    Parameters
    ----------
    texts
        The training regions of each genome, by name.
    weights
        How often each genome is drawn, relative to the others; positive.
    new_memory
        Creates empty memories.
    plan
        Which segments are open.
    reverse_complement_p
        Probability that a segment is read on strand "-".
    max_unknown_fraction
        Largest fraction of N; a window with more is rejected, and another is drawn.
    seed
        Seed of every draw.
    earlier
        Texts that the memory of a segment has read before; see `memory_after`.
    """

    def __init__(
        self,
        texts: Mapping[str, GenomeText],
        weights: Sequence[float],
        *,
        new_memory: NewMemory,
        plan: SegmentPlan,
        reverse_complement_p: float,
        max_unknown_fraction: float,
        seed: int,
        earlier: Sequence[GenomeText] = (),
    ) -> None:
        self._texts = dict(texts)
        self._names = list(texts)
        ends = np.cumsum(weights)
        self._ends = ends / ends[-1]
        self._new_memory = new_memory
        longest = max(map(len, texts.values()))
        self._new_after = memory_after(new_memory, earlier, expected=longest)
        self._plan = plan
        self._reverse_complement_p = reverse_complement_p
        self._max_unknown_fraction = max_unknown_fraction
        self._seed = seed
        self._segments: dict[tuple[int, int], _Segment] = {}
        self._readers: _Readers | None = None

    def window(self, step: int, number: int, length: int) -> GenomeWindow:
        """Return window `number` (from 0) of a step, with the features of its letters.

        Raises
        ------
        InputError
            If nearly every window contains too many N, or no region holds a window.
        """
        rng = np.random.default_rng([self._seed, _OF_A_WINDOW, step, number])
        is_alone = rng.random() < self._plan.alone_p
        at, which = step // self._plan.steps, int(rng.integers(self._plan.n_open))
        segment = self._segment(at, which)
        text, max_unknown = self._texts[segment.genome], int(self._max_unknown_fraction * length)
        for _ in range(_MAX_DRAWS):
            if segment.end - segment.start < length:
                break
            start = int(rng.integers(segment.start, segment.end - length + 1))
            interval = text.interval(start, start + length, segment.strand)
            if interval is None:
                continue
            window = text.store.read(interval)
            if window.n_unknown(length).item() > max_unknown:
                continue
            if is_alone:
                letters = DNA_VOCABULARY.to_bases(window.tokens())
                features = self._new_memory(length).read(letters)
            else:
                first = start - segment.start
                features = self._features(at, which)[first : first + length]
            return GenomeWindow(segment.genome, replace(window, memory=features))
        raise InputError(
            f"no window of {length:,} bp with at most {max_unknown:,} N was found in "
            f"{segment.end - segment.start:,} letters of {segment.genome}; lower context_length, "
            "raise segment_length or max_unknown_fraction, or choose other regions"
        )

    def _segment(self, at: int, number: int) -> _Segment:
        """Return a segment of those that are open together; each is drawn once."""
        if (at, number) not in self._segments:
            if len(self._segments) >= 4 * self._plan.n_open:
                self._segments.clear()
            self._segments[at, number] = self._draw_segment(at, number)
        return self._segments[at, number]

    def _draw_segment(self, at: int, number: int) -> _Segment:
        rng = np.random.default_rng([self._seed, _OF_A_SEGMENT, at, number])
        name = self._names[int(np.searchsorted(self._ends, rng.random(), side="right"))]
        text, length = self._texts[name], self._plan.length
        strand = "-" if rng.random() < self._reverse_complement_p else "+"
        is_short, magnitude = rng.random() < self._plan.short_p, rng.random()
        for _ in range(_MAX_DRAWS):
            start = int(rng.integers(max(1, len(text) - length + 1)))
            end = min(start + length, len(text))
            if (text.read(start, end, strand) == UNKNOWN).mean() <= _MOST_UNKNOWN:
                break
        else:
            raise InputError(
                f"{_MAX_DRAWS} segments of {length:,} letters of {name} were drawn, and most "
                "letters of each are N; lower segment_length or choose other regions"
            )
        first = max(0, start - round((start + 1) ** magnitude)) if is_short else 0
        return _Segment(name, strand, first, start, end)

    def _features(self, at: int, number: int) -> Features:
        """Return the features of an open segment; begin to read those that are opened next."""
        if self._readers is None or self._readers.process != os.getpid():
            # A process that was forked has no threads; it opens segments of its own.
            self._readers = _Readers(os.getpid(), ThreadPoolExecutor(2), {})
        features = self._readers.features
        for key in [key for key in features if key[0] < at]:
            del features[key]
        for later in (at, at + 1):
            if (later, 0) not in features:
                self._open(later, self._readers)
        return features[at, number].result()

    def _open(self, at: int, readers: _Readers) -> None:
        """Let the threads read the segments of a time; those that can share one memory do."""
        segments = {number: self._segment(at, number) for number in range(self._plan.n_open)}
        together: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        for number, (name, strand, first, *_) in segments.items():
            together[name, strand, first].append(number)
        for numbers in together.values():
            numbers.sort(key=lambda number: segments[number].start)
            futures = [Future() for _ in numbers]
            readers.features.update(zip([(at, number) for number in numbers], futures, strict=True))
            readers.threads.submit(self._read, [segments[number] for number in numbers], futures)

    def _read(self, segments: list[_Segment], futures: list[Future[Features]]) -> None:
        """Compute the features of segments of one strand, sorted by their start."""
        try:
            name, strand, first, _, _ = segments[0]
            memory = self._new_after(segments[-1].end - first)
            places = [(segment.start, segment.end) for segment in segments]
            rows = features_of_places(memory, self._texts[name], places, first, strand)
            for future in futures:
                future.set_result(next(rows))
        except BaseException as error:  # noqa: BLE001 it is raised where a result is requested
            for future in futures:
                if not future.done():
                    future.set_exception(error)


def features_of_places(
    memory: Memory,
    text: GenomeText,
    places: Iterable[tuple[int, int]],
    first: int = 0,
    strand: str = "+",
) -> Iterator[Features]:
    """Yield the features of parts of a text, which a memory reads from `first` on.

    Parameters
    ----------
    memory
        What was read before.
    text
        The text.
    places
        Start and end of each part, sorted by start. Parts may overlap.
    first
        Where reading begins.
    strand
        The strand that is read.

    Raises
    ------
    InputError
        If parts are not sorted.
    """
    n_read = first
    kept = memory.read(np.empty(0, np.uint8))  # features of the letters before n_read
    for start, end in places:
        if start < n_read - len(kept):
            raise InputError(f"parts must be sorted by their start; {start:,} to {end:,} is not")
        if start > n_read:
            remember_text(memory, text, n_read, start, strand)
            n_read, kept = start, kept[:0]
        kept = kept[start - (n_read - len(kept)) :]
        if end > n_read:
            kept = np.concatenate([kept, memory.read(text.read(n_read, end, strand))])
            n_read = end
        yield kept[: end - start]


def features_of_windows(
    new_memory: NewMemory,
    store: TokenStore,
    windows: Sequence[Interval],
    known: Sequence[Interval],
    *,
    after: MemoryAfter | None = None,
) -> Iterator[Features]:
    """Yield the features of windows of strand "+", whose memory has read what precedes them.

    The memory reads the known regions of other contigs and those after the last window, and then
    the contig from its start, whether or not its letters are in a known region. Known regions are
    read once, as a base of which those that are read in their own place are gaps; or, for windows
    of one contig, or without `after`, once for each contig.

    Parameters
    ----------
    new_memory
        Creates memories.
    store
        The genome.
    windows
        The windows; those of one contig follow each other, by their start.
    known
        Regions that are known in advance, as those of training.
    after
        Creates memories that begin after a base.
    """
    lasts = {window.contig: window.end for window in sorted(windows, key=lambda each: each.end)}
    before = _separately(new_memory, store, known)
    if after is not None and len(lasts) > 1:
        before = _from_base(new_memory, store, known, after)
    for contig, here in groupby(windows, key=lambda window: window.contig):
        memory = before(contig, lasts[contig])
        whole = GenomeText(store, [Interval(contig, 0, lasts[contig])])
        yield from features_of_places(memory, whole, [(each.start, each.end) for each in here])


def _separately(
    new_memory: NewMemory, store: TokenStore, known: Sequence[Interval]
) -> Callable[[str, int], Memory]:
    """Return a function of a contig and its last base that reads the known regions elsewhere."""

    def before(contig: str, last: int) -> Memory:
        text = GenomeText(store, known_elsewhere(known, contig, last))
        memory = new_memory(len(text) + last)
        if len(text):
            _remember_whole(memory, text)
        return memory

    return before


def _from_base(
    new_memory: NewMemory, store: TokenStore, known: Sequence[Interval], after: MemoryAfter
) -> Callable[[str, int], Memory]:
    """Return a function like that of `_separately`; the known regions are read once, here."""
    text = GenomeText(store, known)
    memory = new_memory(len(text) + FRONT)
    n_before = len(memory)
    remember_text(memory, text, 0, len(text), "+")
    memory.remember(np.full(FRONT, UNKNOWN, np.uint8))
    base = memory.base()

    def before(contig: str, last: int) -> Memory:
        elsewhere = known_elsewhere(known, contig, last)
        own = [
            (n_before + start, n_before + start + len(region))
            for region, start in text.places()
            if region not in elsewhere
        ]
        return after(base, own, last)

    return before
