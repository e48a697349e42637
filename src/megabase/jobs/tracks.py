"""A genome to a track: what a model expects at each base, over whole contigs and both strands."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.base_distribution import (
    QUANTITIES,
    base_quantity,
    log_probabilities,
    on_other_strand,
)
from megabase.inference.predictor import Predictor
from megabase.inference.strands import strands_of
from megabase.inference.windows import Window, describe_windows, windows
from megabase.io.tracks import BEDGRAPH, BIGWIG, check_bigwig, write_bedgraph, write_bigwig
from megabase.jobs.genome import open_genome
from megabase.jobs.parts import Parts, kept_parts
from megabase.run.location import genome_path
from megabase.run.log import Meter, progress
from megabase.run.output import Output
from megabase.run.provenance import file_sha256

_log = logging.getLogger(__name__)

_TOKENS_PER_PART = 1 << 18  # what a kill may cost


def tracks(
    model: str,
    genome: str,
    output: Path,
    *,
    quantity: str = "surprisal",
    strand: str = "average",
    stride: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Write a value for every base of a genome, as bigWig or bedGraph.

    Contigs longer than the context are read in windows that overlap; each base is taken
    from the first window that reads it. Parts that are done are kept beside the output
    until it is whole: the same command goes on where it was interrupted. One contig is
    held in memory at a time.

    Parameters
    ----------
    model
        What `model.load` takes.
    genome
        FASTA or 2bit.
    output
        The track: ``.bw``, ``.bigwig``, ``.bedgraph`` or ``.bg``.
    quantity
        One of `base_distribution.QUANTITIES`.
    strand
        One of `inference.strands.STRANDS`.
    stride
        Bases from window to window; None: half the context.
    device
        As of `Predictor`.
    overwrite
        Whether what is there may be replaced.

    Raises
    ------
    InputError
        If an input cannot be used.
    """
    _check(output, quantity)
    strands = strands_of(strand)
    predictor = Predictor.load(model, device=device)
    context = predictor.context_length
    step = max(1, context // 2) if stride is None else stride
    reference = open_genome(genome)
    work = _Work(predictor, reference, quantity, strands, step)
    request = {
        "command": "tracks",
        "model": predictor.weights_sha256,
        "genome": file_sha256(genome_path(genome)),
        "quantity": quantity,
        "strand": strand,
        "stride": step,
    }
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if place.is_finished:
        return
    work.announce()
    results = {"stride": step, "least_context": context - step, "device": predictor.device.type}
    with kept_parts(output, request | {"device": predictor.device.type}) as parts:
        work.fill(parts)
        with place.write_at(**results) as path:
            work.write(path, parts)


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
    """Some windows of a strand of a contig, which are computed as one part."""

    name: str
    windows: list[Window]


class _Work:
    """Computes parts of a genome, each a function of the genome and its own place alone."""

    def __init__(
        self,
        predictor: Predictor,
        reference: Reference,
        quantity: str,
        strands: tuple[str, ...],
        stride: int,
    ) -> None:
        self._predictor = predictor
        self._reference = reference
        self._quantity = quantity
        self._strands = strands
        self._stride = stride
        self._groups = dict(self._divide())

    def _divide(self) -> Iterator[tuple[Interval, list[_Group]]]:
        context = self._predictor.context_length
        size = max(1, _TOKENS_PER_PART // context)
        for index, (contig, n) in enumerate(self._reference.lengths.items()):
            found = windows(n, context, self._stride) if n else []
            for strand in self._strands if n else ():
                parts = [found[start : start + size] for start in range(0, len(found), size)]
                yield (
                    Interval(contig, 0, n, strand),
                    [_Group(f"{index}{strand}{p[0].first}-{p[-1].end}", p) for p in parts],
                )

    def announce(self) -> None:
        """Say what it will take, and what each base sees."""
        context = self._predictor.context_length
        every = [group for groups in self._groups.values() for group in groups]
        lengths = [window.end - window.start for group in every for window in group.windows]
        plan = self._predictor.plan(longest=max(lengths), n_tokens=sum(lengths))
        _log.info("tracks: %s", plan)
        _log.info("%s of a contig", describe_windows(context, self._stride))

    def fill(self, parts: Parts) -> None:
        """Compute the parts that are not there yet."""
        n_groups = sum(map(len, self._groups.values()))
        with progress(n_groups, "reading the genome", "parts") as meter:
            meter.skip(parts.n_found)
            for whole, groups in self._groups.items():
                if wanted := [group for group in groups if group.name not in parts]:
                    self._fill(parts, whole, wanted, meter)

    def _fill(self, parts: Parts, whole: Interval, wanted: list[_Group], meter: Meter) -> None:
        encoded = DNA_VOCABULARY.encode(self._reference.fetch(whole), name=whole.contig)
        if encoded.n_ambiguous and whole.strand == "+":
            n = f"{encoded.n_ambiguous:,}"
            _log.info("%s: %s ambiguous letters were read as N", whole.contig, n)
        tokens, quantity = encoded.tokens, self._quantity
        if whole.strand == "-":
            quantity = on_other_strand(quantity)
        for group in wanted:
            found = log_probabilities(self._predictor.model, tokens, group.windows)
            values = [
                base_quantity(quantity, log_p, tokens[window.first : window.end])
                for window, log_p in zip(group.windows, found, strict=True)
            ]
            parts.save(group.name, np.concatenate(values))
            meter.advance()

    def write(self, path: Path, parts: Parts) -> None:
        """Write the track, all parts being there."""
        if path.suffix.lower() in BIGWIG:
            write_bigwig(path, self._reference.lengths, self.contigs(parts))
        else:
            with path.open("w", encoding="utf-8") as file:
                for interval, values in self.contigs(parts):
                    write_bedgraph(file, interval, values)

    def contigs(self, parts: Parts) -> Iterator[tuple[Interval, Float32[np.ndarray, " length"]]]:
        """Join the parts of each contig, and average its strands."""
        for whole in [each for each in self._groups if each.strand == "+"]:
            total = np.zeros(len(whole), dtype=np.float32)
            for strand in self._strands:
                groups = self._groups[replace(whole, strand=strand)]
                joined = np.concatenate([parts.load(group.name) for group in groups])
                total += joined if strand == "+" else joined[::-1]
            yield whole, total / np.float32(len(self._strands))
