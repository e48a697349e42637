"""Read transcripts from GTF and GFF3: the exons of each transcript_id."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from megabase.errors import InputError
from megabase.genome.interval import Interval, parse_strand
from megabase.genome.transcript import Transcript
from megabase.io.bed import whole_number
from megabase.io.compression import open_text, uncompressed_name

_GTF, _GFF3 = (".gtf",), (".gff3", ".gff")
_N_COLUMNS = 9
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
            if len(columns) != _N_COLUMNS:
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
