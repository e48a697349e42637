"""Merge the outputs of all shards of a request into the output of the request without shards."""

import gzip
import logging
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from megabase.errors import InputError, counted
from megabase.genome.interval import Interval
from megabase.io.arrays import Layout, Read, Rows, read_arrays, write_arrays
from megabase.io.bcf import write_bcf
from megabase.io.compression import open_text
from megabase.io.tables import ParquetTable, write_parquet
from megabase.io.value_tracks import BIGWIG, BigWig, write_bigwig
from megabase.io.vcf import VcfFile, index_vcf, write_vcf
from megabase.pipelines.pipeline import (
    LINES_PER_RECORD,
    Shard,
    request_of_whole,
    unpacked_counts,
)
from megabase.runtime.artifacts import RECORD, Output, check_no_input, difference, read_record
from megabase.runtime.environment import stamp
from megabase.runtime.log import Meter, progress

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_NOTE = re.compile(r"##megabase_(?P<key>\w+)=(?P<value>.*)")  # a line of a VCF header
_REACH_OF_TBI = 1 << 29  # longest contig in bases that a .tbi index supports
_BEDGRAPH = ".bedgraph"
_SEQUENCES_AT_ONCE = 4096


class _Shard(NamedTuple):
    """The output of a shard, with the shard, request and results of its record."""

    path: Path
    shard: Shard
    request: dict[str, Any]
    results: dict[str, Any]

    def beside(self, suffix: str) -> Path:
        """Return the path of a companion file, such as an index."""
        return Path(f"{self.path}{suffix}")

    @property
    def counts(self) -> Iterator[int]:
        """The number of output lines of each record of the shard."""
        return unpacked_counts(self.results[LINES_PER_RECORD])

    @property
    def n_records(self) -> int:
        """The number of records of the shard."""
        return sum(1 for _ in self.counts)


def merge(parts: Sequence[Path], output: Path, *, overwrite: bool = False) -> None:
    """Merge the outputs of all shards of one request.

    The result is identical to the output of the request without shards, except for the notes on
    when and by which command it was written. This holds byte for byte if the shards were computed
    with `deterministic`, and up to rounding otherwise.

    Parameters
    ----------
    parts
        The outputs of the shards 1/n to n/n of one command, in any order, each with its record
        file next to it.
    output
        A file of the same format.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If a shard is missing or duplicated, if the outputs differ in request or format, or if an
        output does not match its record file.
    """
    found = sorted((_open(path, output) for path in parts), key=lambda part: part.shard.index)
    check_no_input(output, parts)
    _check_all(found)
    command = found[0].request["command"]
    request = request_of_whole(found[0].request)
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if place.is_finished:
        return
    _log.info("merging %s of %s", counted(len(found), "shard"), command)
    _writer(command, output)(found, place)


def _open(path: Path, output: Path) -> _Shard:
    """Read the record of a part, and check that it is a shard in the format of the output."""
    if not path.is_file():
        raise InputError(f"file {path} does not exist; give the outputs of all shards")
    if _format(path) != _format(output):
        raise InputError(
            f"{path} and {output} have different formats; give the output the format of its parts"
        )
    record = read_record(Path(f"{path}.{RECORD}"))
    if record is None:
        raise InputError(
            f"{path} has no record {path}.{RECORD}, which describes its shard; keep the two files "
            "together, and give only outputs of --shard"
        )
    shard = Shard.from_text(record["request"].get("shard") or "1/1")
    if shard.count == 1:
        raise InputError(f"{path} is not the output of a shard: it is already complete")
    is_counted = {LINES_PER_RECORD, "n_values"} & record["results"].keys()
    if not record["finished"] or not is_counted:
        raise InputError(
            f"{path}.{RECORD} lacks the number of records, because an earlier version wrote it; "
            "run the shard again with --overwrite"
        )
    return _Shard(path, shard, record["request"], record["results"])


def _format(path: Path) -> str:
    name = path.name.lower()
    for synonyms in ((_BEDGRAPH, ".bg"), BIGWIG, (".h5", ".hdf5"), (".vcf.gz",)):
        if name.endswith(synonyms):
            return synonyms[0]
    return path.suffix.lower()


def _check_all(parts: Sequence[_Shard]) -> None:
    """Raise an InputError if requests differ, or a shard is missing or duplicated."""
    first, whole = parts[0], {"shard": None}
    for part in parts[1:]:
        if change := difference(first.request | whole, part.request | whole):
            raise InputError(f"{part.path} has a different request from {first.path}: {change}")
        if part.shard.count != first.shard.count:
            raise InputError(
                f"{first.path} is shard {first.shard} and {part.path} is shard {part.shard}; "
                "shards of one merge must have the same number after the slash"
            )
    _check_each_once(parts)
    devices = sorted({part.results["device"] for part in parts})
    if len(devices) > 1:
        _log.warning(
            "the shards were computed on %s: last digits may differ", " and ".join(devices)
        )
    if LINES_PER_RECORD in first.results:
        _check_sizes(parts)


def _check_each_once(parts: Sequence[_Shard]) -> None:
    n = parts[0].shard.count
    paths: dict[int, Path] = {}
    for part in parts:
        if part.shard.index in paths:
            raise InputError(
                f"shard {part.shard} is given twice: {paths[part.shard.index]} and {part.path}"
            )
        paths[part.shard.index] = part.path
    if missing := [f"{i}/{n}" for i in range(1, n + 1) if i not in paths]:
        raise InputError(
            f"{counted(len(missing), 'shard is', 'shards are')} missing: {', '.join(missing)}"
        )


def _check_sizes(parts: Sequence[_Shard]) -> None:
    n_records = sum(part.n_records for part in parts)
    for part in parts:
        if part.n_records != part.shard.size(n_records):
            raise InputError(
                f"{part.path} has {counted(part.n_records, 'record')}, and shard {part.shard} of "
                f"{n_records:,} has {part.shard.size(n_records):,}; run it again with --overwrite"
            )


def _writer(command: str, output: Path) -> Callable[[Sequence[_Shard], Output], None]:
    """Return the function that merges the outputs of a command."""
    if command == "tracks":
        return _merge_bigwig if _format(output) == BIGWIG[0] else _merge_bedgraph
    if command == "embed":
        return _merge_arrays
    if command == "generate" or _format(output) == _BEDGRAPH:
        return _merge_lines
    if output.name.lower().endswith((".vcf", ".vcf.gz", ".bcf")):
        return _merge_vcf
    return _merge_parquet if output.suffix.lower() == ".parquet" else _merge_table


def _in_turn(parts: Sequence[_Shard], lines: Sequence[Iterator[_T]]) -> Iterator[list[_T]]:
    """Yield the lines of each record, from each shard in turn.

    Shard i of n has records i, i + n, i + 2n, ..., so this restores the order of the input. Shards
    differ by at most one record; a count of None marks a shard that has ended.

    Raises
    ------
    InputError
        If a part has more or fewer lines than its record file states.
    """
    counts = [part.counts for part in parts]
    for turn in zip_longest(*counts):
        for part, some, n in zip(parts, lines, turn, strict=True):
            if n is None:
                continue
            found = list(islice(some, n))
            if len(found) < n:
                raise _changed(part)
            yield found
    for part, some in zip(parts, lines, strict=True):
        if next(some, None) is not None:
            raise _changed(part)


def _changed(part: _Shard) -> InputError:
    return InputError(
        f"{part.path} does not have the records that {part.path}.{RECORD} states: it was changed "
        "or truncated; run the shard again with --overwrite"
    )


def _results(parts: Sequence[_Shard]) -> dict[str, Any]:
    return {"device": parts[0].results["device"], "merged": [str(part.path) for part in parts]}


def _merge_vcf(parts: Sequence[_Shard], place: Output) -> None:
    files = [VcfFile(part.path) for part in parts]
    header = _merged_header([file.header for file in files])
    lines = [("\t".join(record.columns) for record in file.records()) for file in files]
    n = sum(part.n_records for part in parts)
    with progress(n, "merging", "records") as meter:
        _write_vcf(parts, place, header, _advancing(_in_turn(parts, lines), meter))


def _advancing(records: Iterable[list[str]], meter: Meter) -> Iterator[str]:
    """Yield the lines of records, and count the records."""
    for lines in records:
        yield from lines
        meter.advance()


def _write_vcf(
    parts: Sequence[_Shard], place: Output, header: list[str], lines: Iterator[str]
) -> None:
    """Write the records, with an index of the same kind as the parts have.

    Each shard has chosen its index for the complete input.
    """
    results, packed = _results(parts), _format(place.path) in (".bcf", ".vcf.gz")
    suffix = next((each for each in (".csi", ".tbi") if parts[0].beside(each).exists()), "")
    companions = [suffix] if packed and suffix else []
    with place.write_at(*companions, **results) as path:
        if _format(place.path) == ".bcf":
            shift = _bits(parts[0].beside(suffix)) if suffix else None
            write_bcf(path, header, lines, index_shift=shift)
            return
        write_vcf(path, header, lines, bgzip=packed)
        if companions:
            longest = _REACH_OF_TBI if suffix == ".csi" else 0
            index_vcf(path, Path(f"{path}{suffix}"), longest_contig=longest)


def _bits(index: Path) -> int:
    """Read the bits of the smallest bin of a .csi index (SAM specification, CSIv1)."""
    with gzip.open(index) as file:
        _, bits = struct.unpack("<4si", file.read(8))
    return bits


def _merged_header(headers: Sequence[Sequence[str]]) -> list[str]:
    """Return the header of the first part, with the notes of all parts merged."""
    notes = [dict(_notes_of(header)) for header in headers]
    return [
        f"##megabase_{key}={_merged_note(key, [note.get(key, '') for note in notes])}"
        if (key := (_NOTE.fullmatch(line) or {"key": ""})["key"])
        else line
        for line in headers[0]
    ]


def _notes_of(header: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in header:
        if found := _NOTE.fullmatch(line):
            yield found["key"], found["value"]


def _merged_note(key: str, values: Sequence[str]) -> str:
    """Return the value of a note for the merged output: counts are summed, also by reason.

    Examples
    --------
    >>> _merged_note("window", ["64", "64"]), _merged_note("alleles", ["3", "2"])
    ('64', '5')
    >>> _merged_note("skipped", ["0", "3 (star 1; symbolic 2)", "4 (symbolic 4)"])
    '7 (symbolic 6; star 1)'
    """
    if key == "shard":
        return "1/1"
    if key == "command":
        return stamp()["command"]
    if key in ("alleles", "skipped"):
        return _summed(values)
    return values[0]


def _summed(values: Sequence[str]) -> str:
    total = sum(int(value.partition(" ")[0].replace(",", "")) for value in values)
    reasons: Counter[str] = Counter()
    for value in values:
        for reason, n in re.findall(r"(\w+) ([\d,]+)", value.partition(" (")[2]):
            reasons[reason] += int(n.replace(",", ""))
    ordered = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    shown = "; ".join(f"{reason} {n:,}" for reason, n in ordered)
    return f"{total:,} ({shown})" if shown else str(total)


def _merge_lines(parts: Sequence[_Shard], place: Output) -> None:
    """Merge text files without a header."""
    files = [_text_lines(part.path) for part in parts]
    with place.write_at(**_results(parts)) as path, path.open("w", encoding="utf-8") as file:
        for lines in _in_turn(parts, files):
            file.writelines(lines)


def _merge_table(parts: Sequence[_Shard], place: Output) -> None:
    files = [_text_lines(part.path) for part in parts]
    headers = {next(file, "") for file in files}
    if len(headers) != 1:
        raise InputError("the tables have different columns; merge outputs of a single request")
    with place.write_at(**_results(parts)) as path, path.open("w", encoding="utf-8") as file:
        file.writelines([*headers])
        for lines in _in_turn(parts, files):
            file.writelines(lines)


def _text_lines(path: Path) -> Iterator[str]:
    with open_text(path, newline="\n") as file:
        yield from file


def _merge_parquet(parts: Sequence[_Shard], place: Output) -> None:
    tables = [ParquetTable(part.path) for part in parts]
    notes = {
        key: _merged_note(key.removeprefix("megabase_"), [each.notes[key] for each in tables])
        for key in tables[0].notes
    }
    rows = (row for some in _in_turn(parts, [each.rows() for each in tables]) for row in some)
    with place.write_at(**_results(parts)) as path:
        write_parquet(path, tables[0].columns, rows, notes)


def _merge_arrays(parts: Sequence[_Shard], place: Output) -> None:
    opened = [read_arrays(part.path) for part in parts]
    layouts = [layout for layout, _ in opened]
    kind, _, width = str(layouts[0].notes["pooling"]).partition(":")
    merged = Layout(
        n_sequences=sum(each.n_sequences for each in layouts),
        n_rows=sum(each.n_rows for each in layouts),
        n_channels=max(each.n_channels for each in layouts),
        dtype=layouts[0].dtype,
        longest_name=max(each.longest_name for each in layouts),
        longest_reason=max(each.longest_reason for each in layouts),
        bp_per_row=int(width or kind == "none"),
        has_reasons=layouts[0].has_reasons,
        notes={**layouts[0].notes, "shard": "1/1"},
    )
    results = _results(parts) | {"n_sequences": merged.n_sequences, "n_rows": merged.n_rows}

    def read() -> Iterator[Rows]:
        sequences = [_sequences(each) for _, each in opened]
        records = _in_turn(parts, sequences)
        while some := [each for record in islice(records, _SEQUENCES_AT_ONCE) for each in record]:
            yield Rows(
                [each.names[0] for each in some],
                [each.counts[0] for each in some],
                [each.skip_reasons[0] for each in some],
                np.concatenate([each.values for each in some]),
            )

    with place.write_at(**results) as path:
        write_arrays(path, merged, read)


def _sequences(read: Read) -> Iterator[Rows]:
    """Yield the rows of one sequence after the other."""
    for rows in read():
        start = 0
        for name, n, reason in zip(rows.names, rows.counts, rows.skip_reasons, strict=True):
            yield Rows([name], [n], [reason], rows.values[start : start + n])
            start += n


def _merge_bedgraph(parts: Sequence[_Shard], place: Output) -> None:
    with place.write_at(**_results(parts)) as path, path.open("w", encoding="utf-8") as file:
        for part in parts:
            n_lines = 0
            for line in _text_lines(part.path):
                file.write(line)
                n_lines += 1
            if n_lines != part.results["n_values"]:
                raise _changed(part)


def _merge_bigwig(parts: Sequence[_Shard], place: Output) -> None:
    tracks = [BigWig(part.path) for part in parts]
    for part, track in zip(
        parts, tracks, strict=True
    ):  # here, because the library hides errors within a callback
        whole = (Interval(contig, 0, n) for contig, n in track.lengths.items())
        found = sum(each.end - each.start for one in whole for each in track.entries(one))
        if found != part.results["n_values"]:
            raise _changed(part)
    lengths: dict[str, int] = {}  # a track has the contigs that have values
    for track in tracks:
        lengths |= track.lengths
    with place.write_at(**_results(parts)) as path:
        write_bigwig(path, lengths, _contigs(tracks, lengths))


def _contigs(
    tracks: Sequence[BigWig], lengths: Mapping[str, int]
) -> Iterator[tuple[Interval, np.ndarray]]:
    """Yield the values of each contig, which may be in several tracks."""
    for contig, n in lengths.items():
        values = np.full(n, np.nan, dtype=np.float32)
        for track in tracks:
            for each in track.entries(Interval(contig, 0, n)):
                values[each.start : each.end] = each.value
        yield Interval(contig, 0, n), values
