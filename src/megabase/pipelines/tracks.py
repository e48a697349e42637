"""Write a track of a quantity that a model predicts at each base of a genome or of regions."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float32

from megabase.errors import InputError, counted
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.split import merge, within
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.choices import (
    QUANTITIES,
    base_quantity,
    reverse_strand_quantity,
    strands_of,
)
from megabase.inference.predictor import Predictor
from megabase.inference.windows import Window, describe_windows, windows
from megabase.io.derived_files import file_sha256
from megabase.io.genome_file import read_chrom_map
from megabase.io.value_tracks import BEDGRAPH, BIGWIG, check_bigwig, write_bedgraph, write_bigwig
from megabase.pipelines.pipeline import DEFAULTS, Pipeline, Request, RunOptions
from megabase.pipelines.sequences import open_genome, open_regions
from megabase.runtime.artifacts import Output, check_no_input, check_place
from megabase.runtime.location import genome_path

_log = logging.getLogger(__name__)

_TOKENS_PER_PART = 1 << 18  # tokens between saves, which an interruption may lose


@dataclass(frozen=True, kw_only=True)
class TrackRequest(Request):
    """Everything that determines the output of `tracks`, whose parameters it has."""

    command: ClassVar[str] = "tracks"

    genome: str
    quantity: str
    strand: str
    stride: int
    regions: str | None
    contigs: Mapping[str, str]


def tracks(
    model: str,
    genome: str,
    output: Path,
    *,
    quantity: str = "surprisal",
    strand: str = "average",
    stride: int | None = None,
    regions: Path | None = None,
    rename_contigs: Path | None = None,
    options: RunOptions = DEFAULTS,
) -> None:
    """Write a value for every base of a genome or of regions of it, as bigWig or bedGraph.

    Contigs longer than the context are read in overlapping windows; each base is taken from the
    first window that reads it. Progress is saved next to the output: after an interruption the
    same command resumes. One contig is held in memory at a time.

    Parameters
    ----------
    model
        Folder, file or hub id of the model.
    genome
        FASTA or 2bit.
    output
        The track to write: ``.bw``, ``.bigwig``, ``.bedgraph`` or ``.bg``.
    quantity
        One of `choices.QUANTITIES`: surprisal or entropy in bits, or a probability.
    strand
        ``average`` of both strands, or ``forward``.
    stride
        Bases between the starts of windows; None: half the context.
    regions
        BED file of the bases that get a value, equal to that in the track of the whole genome;
        strands are ignored. None: all bases.
    rename_contigs
        File of two columns: a contig's name in the genome, and in the track.
    options
        How to compute; a shard is a stretch of the genome, or of the regions, and all shards
        have about equal work.

    Raises
    ------
    InputError
        If an input or option is invalid.
    """
    _check(output, quantity)
    files = filter(None, (genome_path(genome), regions, rename_contigs))
    check_no_input(output, files)
    strands = strands_of(strand)
    reference, targets = _open(genome, regions)
    names = _new_names(rename_contigs, reference)
    check_place(output, is_folder=False)
    predictor = options.load(model)
    context = predictor.context_length
    request = TrackRequest(
        model=predictor.weights_sha256,
        genome=file_sha256(genome_path(genome)),
        quantity=quantity,
        strand=strand,
        stride=max(1, context // 2) if stride is None else stride,
        regions=file_sha256(regions) if regions else None,
        contigs=names,
        **options.in_request(),
    )
    place = Output(output, request.record(), is_folder=False, overwrite=options.overwrite)
    if not place.is_finished:
        reading = _Reading(predictor, reference, quantity, strands, request.stride)
        _Track(reading, targets, request, options).run(place)


def _open(genome: str, regions: Path | None) -> tuple[Reference, list[Interval]]:
    """Open a genome, and return the intervals that get a value, sorted and without overlaps."""
    if regions is None:
        reference = open_genome(genome)
        return reference, merge(Interval(name, 0, n) for name, n in reference.lengths.items() if n)
    reference, records = open_regions(genome, regions)
    found = merge(record.interval for record in records)
    n_bases = counted(sum(map(len, found)), "base")
    _log.info("%s: %s, %s", regions, counted(len(records), "region"), n_bases)
    return reference, found


def _new_names(path: Path | None, reference: Reference) -> dict[str, str]:
    """Read the names that contigs of a genome get in the track, where they differ.

    Raises
    ------
    InputError
        If the file has no contig of the genome, or two contigs would get the same name.
    """
    if path is None:
        return {}
    names = read_chrom_map(path, names_of="of the genome and of the track")
    known = {contig: names[contig] for contig in reference.lengths if contig in names}
    if not known:
        few = ", ".join([*reference.lengths][:3])
        raise InputError(
            f"{path} has no contig of {reference.name}, which has {few}, ...; a line must be a "
            "name in the genome and its name in the track"
        )
    old_of: dict[str, str] = {}
    for contig in reference.lengths:
        new = known.get(contig, contig)
        if new in old_of:
            raise InputError(
                f"{path}: the contigs {old_of[new]!r} and {contig!r} would both be {new!r} in the "
                "track; give them different names"
            )
        old_of[new] = contig
    return known


def _check(output: Path, quantity: str) -> None:
    for what, got, known in (
        ("a quantity", quantity, QUANTITIES),
        ("the name of a track ends in", output.suffix.lower(), BIGWIG + BEDGRAPH),
    ):
        if got not in known:
            raise InputError(f"{what}: expected one of {', '.join(known)}; got {got!r}")
    if output.suffix.lower() in BIGWIG:
        check_bigwig(output)


class _Group(NamedTuple):
    """Consecutive windows of a strand of a contig, which are computed and saved as one part."""

    whole: Interval
    windows: tuple[Window, ...]


class _Reading(NamedTuple):
    """The quantity to compute, and how the genome is read for it."""

    predictor: Predictor
    reference: Reference
    quantity: str
    strands: tuple[str, ...]
    stride: int


class _Track(Pipeline[_Group, TrackRequest]):
    """Values (float32) group by group; each depends on the genome and its own position alone.

    Parameters
    ----------
    reading
        The quantity to compute, and how the genome is read.
    targets
        The intervals that get a value, as `merge` returns them.
    request, options
        What is computed, and how.
    """

    title = "reading the genome"
    unit = "parts"
    records_in_part = 1

    def __init__(
        self,
        reading: _Reading,
        targets: Sequence[Interval],
        request: TrackRequest,
        options: RunOptions,
    ) -> None:
        super().__init__(request, options.shard, reading.predictor.device.type)
        self._predictor, self._reference, self._quantity, self._strands, self._stride = reading
        self._own_places = options.own_places(self._reference)
        self._targets = targets
        self._read: tuple[Interval, TokenArray] | None = None
        self._groups = dict(self._divide())
        if self.shard.count > 1:
            self._keep_shard()
        sizes = (sum(w.end - w.first for w in group.windows) for group in self.records())
        self._places = dict(zip(self.records(), pairwise(accumulate([0, *sizes])), strict=True))

    def _divide(self) -> Iterator[tuple[Interval, list[_Group]]]:
        """Group the windows that supply a base of the targets, by contig and strand."""
        context = self._predictor.context_length
        size = max(1, _TOKENS_PER_PART // context)
        for contig, n in self._reference.lengths.items():
            every = windows(n, context, self._stride) if n else []
            for strand in self._strands if n else ():
                whole = Interval(contig, 0, n, strand)
                found = every
                if within(whole, self._targets) != [Interval(contig, 0, n)]:
                    found = [each for each in every if self._supplied(whole, each)]
                starts = range(0, len(found), size)
                yield whole, [_Group(whole, tuple(found[at : at + size])) for at in starts]

    def _supplied(self, whole: Interval, window: Window) -> list[Interval]:
        """Return the bases of the targets that a window of a strand of a contig supplies."""
        return within(whole.part(window.first, window.end), self._targets)

    def _keep_shard(self) -> None:
        """Keep a stretch of the groups of the forward strand, and those of the reverse it needs.

        Groups are the same as without shards, so that their values agree to the last bit.
        """
        forward = [
            group
            for whole, groups in self._groups.items()
            for group in groups
            if whole.strand == "+"
        ]
        i, n = self.shard.index, self.shard.count
        self._targets = merge(
            place
            for group in forward[(i - 1) * len(forward) // n : i * len(forward) // n]
            for window in group.windows
            for place in self._supplied(group.whole, window)
        )
        self._groups = {
            whole: [
                group
                for group in groups
                if within(_extent(group), self._targets)
                and any(self._supplied(whole, window) for window in group.windows)
            ]
            for whole, groups in self._groups.items()
        }

    def announce(self, output: Path) -> None:
        del output
        context = self._predictor.context_length
        lengths = [each.end - each.start for group in self.records() for each in group.windows]
        if not lengths:
            _log.info("shard %s has no bases: the track is empty", self.shard)
            return
        plan = self._predictor.plan(longest=max(lengths), n_tokens=sum(lengths))
        _log.info("tracks: %s", plan)
        _log.info("%s of a contig", describe_windows(context, self._stride))

    @property
    def total(self) -> int:
        return sum(map(len, self._groups.values()))

    def records(self) -> Iterator[_Group]:
        return chain.from_iterable(self._groups.values())

    def n_bases(self, record: _Group) -> int:
        return sum(window.end - window.start for window in record.windows)

    def n_units(self, record: _Group) -> int:
        del record
        return 1

    def compute(self, part: Sequence[_Group], advance: Callable[[int], None]) -> bytes:
        computed: list[bytes] = []
        for whole, group_windows in part:
            tokens = self._tokens(whole)
            quantity = self._quantity
            if whole.strand == "-":
                quantity = reverse_strand_quantity(quantity)
            own = self._own_places
            gaps = own and [own(whole.part(each.start, each.end)) for each in group_windows]
            found = self._predictor.log_probabilities(tokens, group_windows, gaps)
            computed.extend(
                base_quantity(quantity, log_p, tokens[window.first : window.end])
                .astype(np.float32)
                .tobytes()
                for window, log_p in zip(group_windows, found, strict=True)
            )
            advance(1)
        return b"".join(computed)

    def _tokens(self, whole: Interval) -> TokenArray:
        """Read a strand of a contig; it is kept, because its next group comes next."""
        if self._read is None or self._read[0] != whole:
            encoded = DNA_VOCABULARY.encode(self._reference.fetch(whole), name=whole.contig)
            if encoded.n_ambiguous and whole.strand == "+":
                n = counted(encoded.n_ambiguous, "ambiguous letter was", "ambiguous letters were")
                _log.info("%s: %s read as N", whole.contig, n)
            self._read = whole, encoded.tokens
        return self._read[1]

    def results(self, body: Path) -> dict[str, int]:
        context = self._predictor.context_length
        found = {"stride": self._stride, "least_context": context - self._stride}
        if self.shard.count > 1:
            values = (values for _, values in self._values(body))
            found["n_values"] = sum(int(np.count_nonzero(~np.isnan(each))) for each in values)
        return found

    def write(self, path: Path, body: Path) -> None:
        if path.suffix.lower() in BIGWIG:
            names = self.request.contigs
            lengths = {names.get(name, name): n for name, n in self._reference.lengths.items()}
            write_bigwig(path, lengths, self._values(body))
        else:
            with path.open("w", encoding="utf-8") as file:
                for interval, values in self._values(body):
                    write_bedgraph(file, interval, values)

    def _values(self, body: Path) -> Iterator[tuple[Interval, Float32[np.ndarray, " length"]]]:
        """Yield the intervals of the targets with their values, averaged over strands."""
        saved = np.memmap(body, np.float32, "r") if body.stat().st_size else np.empty(0, np.float32)
        names = self.request.contigs
        for contig, n in self._reference.lengths.items():
            for place in within(Interval(contig, 0, n), self._targets) if n else ():
                total = np.zeros(len(place), dtype=np.float32)
                for strand in self._strands:
                    total += self._joined(saved, Interval(contig, 0, n, strand), place)
                named = replace(place, contig=names.get(contig, contig))
                yield named, total / np.float32(len(self._strands))

    def _joined(
        self, saved: Float32[np.ndarray, " value"], whole: Interval, place: Interval
    ) -> Float32[np.ndarray, " length"]:
        """Return the values of an interval on one strand, in the order of the forward strand."""
        joined = np.full(len(place), np.nan, dtype=np.float32)
        for group in self._groups[whole]:
            if not _extent(group).overlaps(place):
                continue
            found, n_read = saved[slice(*self._places[group])], 0
            for window in group.windows:
                # `read` is in coordinates of the forward strand, and `found` in reading order.
                read = whole.part(window.first, window.end)
                some = found[n_read : n_read + len(read)]
                n_read += len(read)
                for shared in within(read, [place]):
                    of_read = slice(shared.start - read.start, shared.end - read.start)
                    here = slice(shared.start - place.start, shared.end - place.start)
                    joined[here] = (some[::-1] if whole.strand == "-" else some)[of_read]
        return joined


def _extent(group: _Group) -> Interval:
    """Return the interval from the first to the last base that a group of windows supplies."""
    return group.whole.part(group.windows[0].first, group.windows[-1].end)
