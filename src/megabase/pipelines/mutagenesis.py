"""Regions of a genome to a table of every substitution, and to figures of it."""

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from megabase.errors import InputError, counted
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.variant import Site, substitution_sites
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.inference.choices import strands_of
from megabase.inference.predictor import Predictor
from megabase.inference.scores import choose_window
from megabase.inference.windows import MODES, gradient_windows
from megabase.io.annotation import BedRecord
from megabase.io.derived_files import file_sha256
from megabase.io.tables import delimiter_to_write, read_rows, write_table
from megabase.metrics.bootstrap import Correlation, correlate
from megabase.pipelines.pipeline import DEFAULTS, Pipeline, Request, RunOptions
from megabase.pipelines.sequences import open_regions
from megabase.report.mutagenesis_figure import MOST_BASES, check_logo, draw_mutagenesis
from megabase.runtime.artifacts import (
    Output,
    atomic_files,
    check_no_input,
    check_place,
    exclusive_lock,
)
from megabase.runtime.location import genome_path
from megabase.runtime.log import progress

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
    for site, at in _substitutions(reference, record.interval):
        numbers = {column: float(values[at]) for column, values in ratios.items()}
        cells = (site.contig, site.position, site.ref, *site.alts, record.name)
        yield dict(zip(COLUMNS, cells, strict=True)) | numbers


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
    expected = list(_substitutions(reference, record.interval))
    found = list(islice(rows, len(expected)))
    if [tuple(row[name] for name in COLUMNS[:4]) for row in found] != [
        (site.contig, str(site.position), site.ref, *site.alts) for site, _ in expected
    ]:
        raise InputError(
            f"the rows of {record.name} have changed since they were written; recompute the table "
            "with --overwrite"
        )
    for (_, at), row in zip(expected, found, strict=True):
        ratios[at] = float(row[column])
    return ratios


def _substitutions(
    reference: Reference, interval: Interval
) -> Iterator[tuple[Site, tuple[int, int]]]:
    """Yield a site with one allele for each row, in order, and the index of its ratio."""
    letters = forward_letters(reference, interval)
    for site in substitution_sites(interval.contig, letters, start=interval.start):
        for alt in site.alts:
            place = site.position - interval.start, DNA.bases.index(alt)
            yield site._replace(alts=(alt,)), place


_log = logging.getLogger(__name__)

_RATIOS = {"exact": "llr", "gradient": "llr_gradient"}  # the column of each mode
_ASKED = {"exact": ("exact",), "gradient": ("gradient",), "both": MODES}
_BASES_PER_PART = {"exact": 1 << 6, "gradient": 1 << 14}  # between saves
_SEED = 0  # of the bootstrap
_NOT_OF_A_NAME = re.compile(r"[^\w.-]+")  # characters to replace in a file name


@dataclass(frozen=True, kw_only=True)
class MutagenesisRequest(Request):
    """Everything that determines the output of `mutagenesis`, whose parameters it has."""

    command: ClassVar[str] = "mutagenesis"

    genome: str
    regions: str
    mode: str
    window: int
    strand: str


def mutagenesis(
    model: str,
    genome: str,
    regions: Path,
    output: Path,
    *,
    figures: Path | None = None,
    mode: str = "exact",
    window: int | None = None,
    strand: str = "average",
    options: RunOptions = DEFAULTS,
) -> None:
    """Write the log-likelihood ratio of every substitution in regions of a genome.

    The table has a row for each substitution: contig, 0-based position, ref and alt of the
    forward strand, the region's name, and in nats, alternative minus reference, ``llr`` (exact),
    ``llr_gradient``, or both. With both, the record file next to the table has their
    correlation. Bases other than A, C, G and T have no row. Progress is saved next to the
    output: after an interruption the same command resumes.

    Parameters
    ----------
    model
        Folder, file or hub id of the model.
    genome
        FASTA or 2bit.
    regions
        BED file; strands are ignored.
    output
        The table to write.
    figures
        Folder for a PNG file of each region. They are drawn from the table, so the option can
        be added once the table exists.
    mode
        ``exact``, ``gradient`` or ``both``; see `saturation_mutagenesis`.
    window
        Bases of a window; None: 1,024, or the context if that is shorter.
    strand
        ``average`` of both strands, or ``forward``.
    options
        How to compute.

    Raises
    ------
    InputError
        If an input or option is invalid.
    """
    _check_options(mode, strand, output, figures)
    check_no_input(output, (genome_path(genome), regions))
    delimiter_to_write(output)
    reference, every = open_regions(genome, regions)
    records = list(options.shard.of(every))
    if figures is not None and records:
        _check_figures(records)
    _check_letters(reference, records)
    check_place(output, is_folder=False)
    predictor = options.load(model)
    request = MutagenesisRequest(
        model=predictor.weights_sha256,
        genome=file_sha256(genome_path(genome)),
        regions=file_sha256(regions),
        mode=mode,
        window=choose_window(window, predictor.context_length),
        strand=strand,
        **options.in_request(),
    )
    place = Output(output, request.record(), is_folder=False, overwrite=options.overwrite)
    drawn = None
    if figures is not None:
        drawn = Output(figures, request.record(), is_folder=True, overwrite=options.overwrite)
    if not place.is_finished:
        _Mutagenesis(predictor, reference, records, request, options).run(place)
    if drawn is not None and not drawn.is_finished:
        numbers = options.shard.of(range(1, len(every) + 1))
        _draw(output, drawn, reference, dict(zip(numbers, records, strict=True)),
              _RATIOS[_ASKED[mode][0]])  # fmt: skip


def _check_options(mode: str, strand: str, output: Path, figures: Path | None) -> None:
    if figures is not None and figures.absolute() == output.absolute():
        raise InputError(f"{output} cannot be the table and the folder of figures; use two paths")
    if mode not in _ASKED:
        raise InputError(f"the mode must be one of {', '.join(_ASKED)}; got {mode!r}")
    strands_of(strand)


def _check_figures(records: Sequence[BedRecord]) -> None:
    check_logo()
    longest = max(records, key=lambda record: len(record.interval))
    if len(longest.interval) > MOST_BASES:
        raise InputError(
            f"{longest.name} has {len(longest.interval):,} bp, and a figure shows at most "
            f"{MOST_BASES:,}; split it into several lines of the BED file, or leave out --figures"
        )


def _check_letters(reference: Reference, records: Sequence[BedRecord]) -> None:
    """Raise an InputError for a region of N only; log bases without a row and ignored strands."""
    for interval, name in records:
        letters = forward_letters(reference, interval)
        place = f"{interval.contig} of {reference.name}"
        tokens = DNA_VOCABULARY.encode(letters, name=place, start=interval.start).tokens
        n_unknown = int(np.count_nonzero(tokens == DNA_VOCABULARY.unknown_id))
        if n_unknown == len(tokens):
            raise InputError(
                f"{name} ({interval}) holds no base but N in {reference.name}, so there is "
                "nothing to change; remove the line from the BED file"
            )
        if n_unknown:
            _log.info("%s: %s of %s bases are not A C G T and have no row", name,
                      f"{n_unknown:,}", f"{len(tokens):,}")  # fmt: skip
    if any(record.interval.strand == "-" for record in records):
        _log.info("some regions are on the reverse strand; ref and alt are of the forward strand")


class _Stretch(NamedTuple):
    """A stretch of a region in one mode."""

    mode: str
    interval: Interval


class _Mutagenesis(Pipeline[_Stretch, MutagenesisRequest]):
    """Ratios (float64) of the four bases at each base of each stretch.

    Parameters
    ----------
    predictor, reference, records
        The model, the genome and the regions.
    request, options
        What is computed, and how.
    """

    title = "mutagenesis"
    unit = "bases"
    records_in_part = 1

    def __init__(
        self,
        predictor: Predictor,
        reference: Reference,
        records: Sequence[BedRecord],
        request: MutagenesisRequest,
        options: RunOptions,
    ) -> None:
        super().__init__(request, options.shard, predictor.device.type)
        self._predictor = predictor
        self._reference = reference
        self._own_places = options.own_places(reference)
        self._regions = records
        self._modes = _ASKED[request.mode]
        self._both_strands = len(strands_of(request.strand)) == 2
        self._stretches = [
            _Stretch(mode, each)
            for region in records
            for mode in self._modes
            for each in replace(region.interval, strand="+").windows(_BASES_PER_PART[mode])
        ]

    def announce(self, output: Path) -> None:
        del output
        if not self._regions:
            _log.info("shard %s has no regions: the table has no rows", self.shard)
            return
        window, strand = self.request.window, self.request.strand
        n_strands = len(strands_of(strand))
        for mode in self._modes:
            n_windows = n_strands * sum(
                self._n_windows(each) for each in self._stretches if each.mode == mode
            )
            plan = self._predictor.plan if mode == "exact" else self._predictor.plan_gradients
            _log.info(
                "%s: %s of %s bases, strand %s: %s", mode, counted(n_windows, "window"),
                f"{window:,}", strand, plan(longest=window, n_tokens=n_windows * window),
            )  # fmt: skip

    def _n_windows(self, part: _Stretch) -> int:
        if part.mode == "exact":
            return len(DNA.bases) * len(part.interval)
        n_contig = self._reference.lengths[part.interval.contig]
        return sum(
            1
            for _ in gradient_windows(
                part.interval, contig_length=n_contig, window=self.request.window
            )
        )

    @property
    def total(self) -> int:
        return sum(map(self.n_bases, self._stretches))

    def records(self) -> Iterator[_Stretch]:
        return iter(self._stretches)

    def n_bases(self, record: _Stretch) -> int:
        return len(record.interval)

    def compute(self, part: Sequence[_Stretch], advance: Callable[[int], None]) -> bytes:
        computed: list[bytes] = []
        for stretch in part:
            ratios = self._predictor.saturation_mutagenesis(
                self._reference,
                stretch.interval,
                window=self.request.window,
                mode=stretch.mode,
                both_strands=self._both_strands,
                gaps_of=self._own_places,
            )
            computed.append(ratios.tobytes())
            advance(len(ratios))
        return b"".join(computed)

    def lines_per_record(self, body: Path) -> Iterator[int]:
        del body
        for record in self._regions:
            letters = forward_letters(self._reference, record.interval)
            yield int(np.count_nonzero(is_substitution(letters)))

    def results(self, body: Path) -> dict[str, Any]:
        return self._compare(body) if len(self._modes) > 1 and self._regions else {}

    def write(self, path: Path, body: Path) -> None:
        columns = [*COLUMNS, *(_RATIOS[mode] for mode in self._modes)]
        rows = _Counted(self._rows(body))
        with path.open("w", encoding="utf-8", newline="\n") as file:
            write_table(file, columns, rows, delimiter=delimiter_to_write(path))
        if rows.n_missing:
            _log.info(
                "%s of %s substitutions are NaN: more than half of a window is N",
                f"{rows.n_missing:,}", f"{rows.n:,}",
            )  # fmt: skip

    def _rows(self, body: Path) -> Iterator[Mapping[str, object]]:
        for record, ratios in zip(self._regions, self._ratios(body), strict=True):
            of_column = {_RATIOS[mode]: values for mode, values in ratios.items()}
            yield from rows_of(self._reference, record, of_column)

    def _ratios(self, body: Path) -> Iterator[dict[str, Ratios]]:
        """Yield the ratios of each region by mode."""
        with body.open("rb") as file:
            for record in self._regions:
                n = len(record.interval) * len(DNA.bases)
                yield {
                    mode: np.frombuffer(file.read(8 * n)).reshape(-1, len(DNA.bases))
                    for mode in self._modes
                }

    def _compare(self, body: Path) -> dict[str, Any]:
        """Compute the correlation of gradient and exact ratios over all regions."""
        of_regions = list(self._ratios(body))
        exact, estimate = (
            np.concatenate([ratios[mode] for ratios in of_regions]) for mode in MODES
        )
        letters = [forward_letters(self._reference, each.interval) for each in self._regions]
        is_other = is_substitution("".join(letters))
        is_other &= np.isfinite(exact) & np.isfinite(estimate)
        bases, _ = np.nonzero(is_other)
        found = correlate(exact[is_other], estimate[is_other], bases, seed=_SEED)
        for kind, each in found.items():
            _log.info("%s of gradient and exact: %s", kind, _text(each))
        return {
            "correlation": {kind: _plain(each) for kind, each in found.items()},
            "n_substitutions": int(is_other.sum()),
        }


class _Counted:
    """Iterates over rows, and counts them and those with NaN."""

    def __init__(self, rows: Iterator[Mapping[str, object]]) -> None:
        self._rows = rows
        self.n = self.n_missing = 0

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for row in self._rows:
            self.n += 1
            self.n_missing += any(
                isinstance(value, float) and math.isnan(value) for value in row.values()
            )
            yield row


def _text(found: Correlation) -> str:
    low, high = found.interval or (math.nan, math.nan)
    return f"{found.value:.4f} (95 % interval {low:.4f} to {high:.4f}, by position)"


def _plain(found: Correlation) -> dict[str, Any]:
    """Return the values for JSON, which has no NaN: None in its place."""
    numbers = [found.value, *(found.interval or (math.nan, math.nan))]
    value, low, high = (None if math.isnan(number) else number for number in numbers)
    return {"value": value, "interval": None if low is None else [low, high]}


def _draw(
    table: Path, place: Output, reference: Reference, records: Mapping[int, BedRecord], column: str
) -> None:
    """Draw a figure of each region from the rows of the table."""
    with exclusive_lock(place.path):
        place.start()
        with (
            atomic_files(place.path) as folder,
            progress(len(records), "drawing", "figures") as meter,
        ):
            rows = read_rows(table, [*COLUMNS, column])
            for number, record in records.items():
                interval, name = record
                ratios = ratios_of(rows, reference, record, column)
                letters = forward_letters(reference, interval)
                path = folder / f"{number:04d}-{_NOT_OF_A_NAME.sub('_', name)[:80]}.png"
                title = f"{name}, {interval}: {column}"
                draw_mutagenesis(ratios, letters, path, start=interval.start, title=title)
                meter.advance()
        place.finish()
