"""Write a track of a quantity that a model predicts at each base of a genome or of regions."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.split import merge, within
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.choices import (
    QUANTITIES,
    base_quantity,
    reverse_strand_quantity,
    strands_of,
)
from megabase.inference.predictor import Predictor
from megabase.inference.windows import Window, describe_windows, windows
from megabase.io.genome_file import read_chrom_map
from megabase.io.value_tracks import BEDGRAPH, BIGWIG, check_bigwig, write_bedgraph, write_bigwig
from megabase.pipelines.pipeline import Parts, Shard, open_parts
from megabase.pipelines.sequences import open_genome, open_regions
from megabase.runtime.artifacts import Output, check_no_input, check_place
from megabase.runtime.environment import file_sha256
from megabase.runtime.location import genome_path
from megabase.runtime.log import Meter, counted, progress

_log = logging.getLogger(__name__)

_TOKENS_PER_PART = 1 << 18  # tokens between saves, which an interruption may lose
_MOST_LOADED = 4  # parts held in memory


def tracks(
    model: str,
    genome: str,
    output: Path,
    *,
    quantity: str = "surprisal",
    strand: str = "average",
    stride: int | None = None,
    regions: Path | None = None,
    shard: str = "1/1",
    rename_contigs: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
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
    shard
        ``i/n``: the i-th of n stretches of the genome, or of the regions, of about equal work.
    rename_contigs
        File of two columns: a contig's name in the genome, and in the track.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    overwrite
        Whether an existing output may be replaced.

    Raises
    ------
    InputError
        If an input or option is invalid.
    """
    _check(output, quantity)
    files = filter(None, (genome_path(genome), regions, rename_contigs))
    check_no_input(output, files)
    strands, part = strands_of(strand), Shard.from_text(shard)
    reference, targets = _open(genome, regions)
    names = _new_names(rename_contigs, reference)
    check_place(output, is_folder=False)
    predictor = Predictor.load(model, device=device)
    context = predictor.context_length
    step = max(1, context // 2) if stride is None else stride
    work = _TrackWork(
        _TrackReading(predictor, reference, quantity, strands, step), targets, part, names
    )
    request = {
        "command": "tracks",
        "model": predictor.weights_sha256,
        "genome": file_sha256(genome_path(genome)),
        "quantity": quantity,
        "strand": strand,
        "stride": step,
        "regions": file_sha256(regions) if regions else None,
        "contigs": names,
        "shard": part.in_request(),
    }
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if place.is_finished:
        return
    work.announce()
    results = {"stride": step, "least_context": context - step, "device": predictor.device.type}
    with open_parts(output, request | {"device": predictor.device.type}) as parts:
        work.fill(parts)
        if part.count > 1:
            results["n_values"] = work.n_values(parts)
        with place.write_at(**results) as path:
            work.write(path, parts)


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

    name: str
    windows: list[Window]


class _TrackReading(NamedTuple):
    """The quantity to compute, and how the genome is read for it."""

    predictor: Predictor
    reference: Reference
    quantity: str
    strands: tuple[str, ...]
    stride: int


class _TrackWork:
    """Computes parts of a genome; each depends on the genome and its own position alone.

    Parameters
    ----------
    reading
        The quantity to compute, and how the genome is read.
    targets
        The intervals that get a value, as `merge` returns them.
    shard
        The stretch of them to compute.
    names
        Names of contigs in the track, by their names in the genome, where they differ.
    """

    def __init__(
        self,
        reading: _TrackReading,
        targets: Sequence[Interval],
        shard: Shard,
        names: Mapping[str, str],
    ) -> None:
        self._predictor, self._reference, self._quantity, self._strands, self._stride = reading
        self._shard = shard
        self._names = names
        self._targets = targets
        self._loaded: dict[str, np.ndarray] = {}
        self._groups = dict(self._divide())
        if shard.count > 1:
            self._keep_shard()

    def _divide(self) -> Iterator[tuple[Interval, list[_Group]]]:
        """Group the windows that supply a base of the targets, by contig and strand."""
        context = self._predictor.context_length
        size = max(1, _TOKENS_PER_PART // context)
        for index, (contig, n) in enumerate(self._reference.lengths.items()):
            every = windows(n, context, self._stride) if n else []
            for strand in self._strands if n else ():
                whole = Interval(contig, 0, n, strand)
                found = every
                if within(whole, self._targets) != [Interval(contig, 0, n)]:
                    found = [each for each in every if self._supplied(whole, each)]
                parts = [found[start : start + size] for start in range(0, len(found), size)]
                yield (
                    whole,
                    [_Group(f"{index}{strand}{p[0].first}-{p[-1].end}", p) for p in parts],
                )

    def _supplied(self, whole: Interval, window: Window) -> list[Interval]:
        """Return the bases of the targets that a window of a strand of a contig supplies."""
        return within(whole.part(window.first, window.end), self._targets)

    def _keep_shard(self) -> None:
        """Keep a stretch of the groups of the forward strand, and those of the reverse it needs.

        Groups are the same as without shards, so that their values agree to the last bit.
        """
        forward = [
            (whole, group)
            for whole, groups in self._groups.items()
            for group in groups
            if whole.strand == "+"
        ]
        i, n = self._shard.index, self._shard.count
        mine = forward[(i - 1) * len(forward) // n : i * len(forward) // n]
        self._targets = merge(
            place
            for whole, group in mine
            for window in group.windows
            for place in self._supplied(whole, window)
        )
        self._groups = {
            whole: [
                group
                for group in groups
                if within(_extent(whole, group), self._targets)
                and any(self._supplied(whole, window) for window in group.windows)
            ]
            for whole, groups in self._groups.items()
        }

    def announce(self) -> None:
        """Log memory, time, and the context of each base."""
        context = self._predictor.context_length
        every = [group for groups in self._groups.values() for group in groups]
        lengths = [window.end - window.start for group in every for window in group.windows]
        if not lengths:
            _log.info("shard %s has no bases: the track is empty", self._shard)
            return
        plan = self._predictor.plan(longest=max(lengths), n_tokens=sum(lengths))
        _log.info("tracks: %s", plan)
        _log.info("%s of a contig", describe_windows(context, self._stride))

    def fill(self, parts: Parts) -> None:
        """Compute the parts that are not done yet."""
        n_groups = sum(map(len, self._groups.values()))
        with progress(n_groups, "reading the genome", "parts") as meter:
            meter.skip(parts.n_found)
            for whole, groups in self._groups.items():
                if wanted := [group for group in groups if group.name not in parts]:
                    self._fill(parts, whole, wanted, meter)

    def _fill(self, parts: Parts, whole: Interval, wanted: list[_Group], meter: Meter) -> None:
        encoded = DNA_VOCABULARY.encode(self._reference.fetch(whole), name=whole.contig)
        if encoded.n_ambiguous and whole.strand == "+":
            n = counted(encoded.n_ambiguous, "ambiguous letter was", "ambiguous letters were")
            _log.info("%s: %s read as N", whole.contig, n)
        tokens, quantity = encoded.tokens, self._quantity
        if whole.strand == "-":
            quantity = reverse_strand_quantity(quantity)
        for group in wanted:
            found = self._predictor.log_probabilities(tokens, group.windows)
            values = [
                base_quantity(quantity, log_p, tokens[window.first : window.end])
                for window, log_p in zip(group.windows, found, strict=True)
            ]
            parts.save(group.name, np.concatenate(values))
            meter.advance()

    def n_values(self, parts: Parts) -> int:
        """Count the bases that have a value."""
        return sum(int(np.count_nonzero(~np.isnan(values))) for _, values in self.values(parts))

    def write(self, path: Path, parts: Parts) -> None:
        """Write the track, once all parts are done."""
        if path.suffix.lower() in BIGWIG:
            lengths = {
                self._names.get(contig, contig): n for contig, n in self._reference.lengths.items()
            }
            write_bigwig(path, lengths, self.values(parts))
        else:
            with path.open("w", encoding="utf-8") as file:
                for interval, values in self.values(parts):
                    write_bedgraph(file, interval, values)

    def values(self, parts: Parts) -> Iterator[tuple[Interval, Float32[np.ndarray, " length"]]]:
        """Yield the intervals of the targets with their values, averaged over strands."""
        for contig, n in self._reference.lengths.items():
            for place in within(Interval(contig, 0, n), self._targets) if n else ():
                total = np.zeros(len(place), dtype=np.float32)
                for strand in self._strands:
                    total += self._joined(parts, Interval(contig, 0, n, strand), place)
                named = replace(place, contig=self._names.get(contig, contig))
                yield named, total / np.float32(len(self._strands))

    def _joined(
        self, parts: Parts, whole: Interval, place: Interval
    ) -> Float32[np.ndarray, " length"]:
        """Return the values of an interval on one strand, in the order of the forward strand."""
        joined = np.full(len(place), np.nan, dtype=np.float32)
        for group in self._groups[whole]:
            if not _extent(whole, group).overlaps(place):
                continue
            found, n_read = self._load(parts, group.name), 0
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

    def _load(self, parts: Parts, name: str) -> np.ndarray:
        """Load a part, and keep it in memory, because the next interval may be in it too."""
        if name not in self._loaded:
            while len(self._loaded) >= _MOST_LOADED:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[name] = parts.load(name)
        return self._loaded[name]


def _extent(whole: Interval, group: _Group) -> Interval:
    """Return the interval from the first to the last base that a group of windows supplies."""
    return whole.part(group.windows[0].first, group.windows[-1].end)
