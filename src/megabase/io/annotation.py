"""BED to Intervals and back; GTF and GFF3 to transcripts."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import gt
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from megabase.errors import InputError
from megabase.genome.interval import Interval, parse_strand
from megabase.genome.reference import Transcript, check_inside
from megabase.io.compression import open_text, uncompressed_name

_BROWSER = ("position", "hide", "dense", "pack", "squish", "full")
"""Words after ``browser`` in a header line (UCSC Genome Browser, "Custom annotation tracks")."""

_N_BED_COLUMNS = 12  # columns of BED12, which has blocks

_log = logging.getLogger(__name__)


def is_bed(path: Path) -> bool:
    """Return whether a file has the name of a BED file."""
    return uncompressed_name(path).lower().endswith(".bed")


class BedRecord(NamedTuple):
    """An interval and its name: the fourth column, or ``contig:start-end`` if absent."""

    interval: Interval
    name: str


def read_bed(path: Path) -> list[BedRecord]:
    """Read the contig, start, end, name and strand of each line.

    Columns are split at tabs, or at spaces in a line without a tab. Coordinates are 0-based
    and half-open, as BED defines; the strand is read by `interval.parse_strand`.

    Raises
    ------
    InputError
        If the file is missing or has no interval, or a line is not a valid interval; the message
        has the number of the first such line.
    """
    if not path.is_file():
        raise InputError(f"there is no BED file {path}")
    records: list[BedRecord] = []
    n_with_introns = 0
    for line, place in record_lines(path):
        records.append(_read_line(line, place))
        columns = _columns(line, place)
        n_with_introns += len(columns) >= _N_BED_COLUMNS and columns[9].strip() not in ("0", "1")
    if not records:
        raise InputError(f"{path} holds no interval; a line is contig, start, end")
    if n_with_introns:
        _log.info(
            "%s: %s intervals have several blocks (BED12): the introns between them are included; "
            "score and embed leave them out with --splice", path, f"{n_with_introns:,}",
        )  # fmt: skip
    return records


def read_regions(path: Path, lengths: Mapping[str, int], genome: str) -> list[BedRecord]:
    """Read a BED file all of whose intervals must lie in a genome.

    Parameters
    ----------
    path
        The BED file.
    lengths
        Length of each contig of the genome in bp.
    genome
        Name of the genome, for errors.

    Raises
    ------
    InputError
        If the file is not valid BED, or an interval is not inside the genome.
    """
    records = read_bed(path)
    for record in records:
        check_inside(record.interval, lengths, genome)
    return records


def read_spliced(path: Path) -> list[Transcript]:
    """Read the blocks of each line of a BED12 file as the exons of a transcript.

    Raises
    ------
    InputError
        If a line is not a valid interval, or has missing or invalid blocks; the message has the
        number of the first such line.
    """
    return [_read_blocks(line, place) for line, place in record_lines(path)]


def _read_blocks(line: str, place: str) -> Transcript:
    interval, name = _read_line(line, place)
    columns = _columns(line, place)
    if len(columns) < _N_BED_COLUMNS:
        raise InputError(
            f"{place}: expected the 12 columns of BED12, the last three blockCount, blockSizes and "
            f"blockStarts, got {len(columns)}; --splice joins blocks"
        )
    try:
        count, sizes, starts = whole_number(columns[9]), *map(_numbers, columns[10:12])
    except ValueError as error:
        raise InputError(f"{place}: the blocks are invalid: {error}") from error
    if not 0 < count == len(sizes) == len(starts):
        raise InputError(
            f"{place}: expected as many block sizes and starts as blockCount, at least 1; got "
            f"{len(sizes)}, {len(starts)} and {count}"
        )
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    if min(sizes) < 1 or max(ends) > len(interval) or any(map(gt, ends, starts[1:])):
        raise InputError(
            f"{place}: expected blocks of at least 1 base that lie within the {len(interval):,} bp "
            f"of the interval, sorted and without overlap; got sizes {columns[10]} and starts "
            f"{columns[11]}"
        )
    blocks = (
        replace(interval, start=interval.start + start, end=interval.start + end)
        for start, end in zip(starts, ends, strict=True)
    )
    return Transcript(name, tuple(blocks))


def _numbers(text: str) -> list[int]:
    return [whole_number(each) for each in text.strip().removesuffix(",").split(",")]


def record_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each record line of a BED or bedGraph file, and its place for messages.

    Empty lines, comments (``#``) and header lines (``track``, ``browser``) are skipped. A log
    line counts comments that look like records, because a contig name may begin with ``#``.
    """
    n_commented = 0
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.startswith("#"):
                n_commented += _has_place(line.split())
            elif line.strip() and not _is_header(line.split()):
                yield line, f"{path}, line {number}"
    if n_commented:
        _log.info(
            "%s: %s intervals are skipped because their lines start with #",
            path,
            f"{n_commented:,}",
        )


def _has_place(fields: Sequence[str]) -> bool:
    return len(fields) > 2 and all(_is_number(field) for field in fields[1:3])


def _is_header(fields: Sequence[str]) -> bool:
    """Return whether a line is ``track`` with ``key=value`` or ``browser`` with a known word.

    A contig may have one of these names; numbers follow it then.
    """
    match fields:
        case ["track"] | ["browser"]:
            return True
        case ["track", second, *_]:
            return "=" in second
        case ["browser", second, *_]:
            return second in _BROWSER
        case _:
            return False


def whole_number(text: str) -> int:
    """Return the integer of a text of digits; raise a ValueError for ``1_000``, ``1e3`` etc."""
    if not _is_number(text.strip(" \r\n")):
        raise ValueError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _read_line(line: str, place: str) -> BedRecord:
    fields = _columns(line, place)
    try:
        start, end = whole_number(fields[1]), whole_number(fields[2])
    except (IndexError, ValueError) as error:
        raise InputError(
            f"{place}: expected contig, start and end with whole numbers, got {line.strip()!r}"
        ) from error
    try:
        strand = parse_strand(fields[5]) if len(fields) > 5 else "+"
        interval = Interval(fields[0], start, end, strand)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    name = fields[3] if len(fields) > 3 else f"{fields[0]}:{start}-{end}"
    return BedRecord(interval, name)


def _columns(line: str, place: str) -> list[str]:
    return line.rstrip("\r\n").split("\t") if "\t" in line else _split_at_blanks(line, place)


def _split_at_blanks(line: str, place: str) -> list[str]:
    """Split a line at spaces; raise an InputError if a space in its name shifted the columns."""
    fields = line.split()
    score, after = fields[4:5], fields[6:]
    if not all(map(_is_score, score)) or {"+", "-"} & {*after} or after[:1] == ["-1"]:
        raise InputError(
            f"{place}: expected contig, start, end, name, score and strand in six columns, got "
            f"{line.strip()!r}; if the name contains a space, separate the columns by tabs"
        )
    return fields


def _is_score(text: str) -> bool:
    return text == "." or re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?", text) is not None


_GTF, _GFF3 = (".gtf",), (".gff3", ".gff")
_N_GTF_COLUMNS = 9
_ATTRIBUTE = re.compile(r'\s*([^\s;"]+)\s+("[^"]*"|[^;"]*)\s*(?:;|$)')  # key and value in GTF


def is_gtf(path: Path) -> bool:
    """Return whether a file has the name of a GTF or GFF3 file."""
    return uncompressed_name(path).lower().endswith((*_GTF, *_GFF3))


def read_transcripts(path: Path) -> list[Transcript]:
    """Read the transcripts of a GTF or GFF3 file, in the order of their first exons.

    Lines of type ``exon`` are grouped by ``transcript_id``, in GFF3 by ``Parent``. The name of
    a GFF3 transcript is its ``transcript_id`` if present, else its ID. Other lines are skipped.

    Raises
    ------
    InputError
        If there is no exon, a line has not nine columns, or an exon has no valid coordinates,
        strand or transcript. The message has the number of the first such line.

    Source
    ------
    GTF2.2: A Gene Annotation Format, The Brent Lab. Generic Feature Format Version 3, The
    Sequence Ontology Project.
    """
    is_gff3 = uncompressed_name(path).lower().endswith(_GFF3)
    exons: dict[str, list[Interval]] = {}
    names: dict[str, str] = {}
    for columns, place in _lines(path):
        is_exon = columns[2] == "exon"
        if not is_exon and not (is_gff3 and "transcript_id=" in columns[8]):
            continue
        attributes = (_of_gff3 if is_gff3 else _of_gtf)(columns[8])
        if "ID" in attributes and "transcript_id" in attributes:
            names[unquote(attributes["ID"])] = unquote(attributes["transcript_id"])
        if is_exon:
            exon = _interval(columns, place)
            for parent in _parents(attributes, place, is_gff3):
                exons.setdefault(parent, []).append(exon)
    if not exons:
        raise InputError(f"{path} has no exon; --splice needs lines of type 'exon'")
    return [_transcript(path, names.get(key, key), each) for key, each in exons.items()]


def _transcript(path: Path, name: str, exons: list[Interval]) -> Transcript:
    try:
        return Transcript.of(name, exons)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _lines(path: Path) -> Iterator[tuple[list[str], str]]:
    """Yield the columns of each line except comments, and its place for messages."""
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.startswith("##FASTA"):  # GFF3: letters follow
                return
            if line.startswith("#") or not line.strip():
                continue
            columns, place = line.rstrip("\r\n").split("\t"), f"{path}, line {number}"
            if len(columns) != _N_GTF_COLUMNS:
                raise InputError(
                    f"{place}: expected nine columns separated by tabs, got {len(columns)} in "
                    f"{line[:60].strip()!r}"
                )
            yield columns, place


def _interval(columns: list[str], place: str) -> Interval:
    contig, first, last, side = columns[0], columns[3], columns[4], columns[6]
    try:
        start, end = whole_number(first) - 1, whole_number(last)  # 1-based, both ends included
    except ValueError as error:
        raise InputError(
            f"{place}: expected whole numbers as start and end, got {first!r} and {last!r}"
        ) from error
    try:
        return Interval(contig, start, end, parse_strand(side))
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _parents(attributes: Mapping[str, str], place: str, is_gff3: bool) -> list[str]:
    if is_gff3 and "Parent" in attributes:
        return [unquote(parent) for parent in attributes["Parent"].split(",")]
    if attributes.get("transcript_id"):
        return [attributes["transcript_id"]]
    wanted = "Parent=... or transcript_id=..." if is_gff3 else 'transcript_id "..."'
    raise InputError(f"{place}: the exon has no transcript; expected {wanted} in the last column")


def _of_gtf(text: str) -> dict[str, str]:
    """Return the attributes of a GTF line.

    Examples
    --------
    >>> _of_gtf('gene_id "g;1"; transcript_id "t1"; exon_number 2;')
    {'gene_id': 'g;1', 'transcript_id': 't1', 'exon_number': '2'}
    """
    return {found[1]: found[2].strip().strip('"') for found in _ATTRIBUTE.finditer(text)}


def _of_gff3(text: str) -> dict[str, str]:
    """Return the attributes of a GFF3 line, without decoding escaped characters.

    Examples
    --------
    >>> _of_gff3("ID=exon:1;Parent=t1,t2;note=a%3Bb")
    {'ID': 'exon:1', 'Parent': 't1,t2', 'note': 'a%3Bb'}
    """
    pairs = (entry.partition("=") for entry in text.split(";") if entry.strip())
    return {key.strip(): value for key, _, value in pairs}
