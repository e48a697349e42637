"""Read VCF and BCF records as sites, and write records with additional INFO entries.

The text of a record is kept; only its INFO column is changed. Positions in the file are 1-based,
those of a `Site` 0-based.
"""

import gzip
import re
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, NamedTuple

import pysam

from megabase.errors import InputError, WorkError
from megabase.genome.variant import Site
from megabase.io.compression import check_bgzip_is_whole, compression

_FIRST = "##fileformat=VCF"
_COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
_N_COLUMNS = 8
_BCF_MAGIC = b"BCF"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ODD_BYTES = "surrogateescape"  # bytes of any kind pass unchanged
_TEXT = {"encoding": "utf-8", "errors": _ODD_BYTES}
_QUOTED = re.compile(r'"(\\.|[^"\\])*"')  # quoted text may contain what looks like attributes
_DECLARATION = re.compile(r"##(INFO|FILTER|FORMAT|contig)=<(?:.*,\s*)?ID=([^,>]+)")


class InfoField(NamedTuple):
    """A field of the INFO column, as declared in the header."""

    name: str
    number: str
    kind: str
    description: str

    def __str__(self) -> str:
        return (
            f"##INFO=<ID={self.name},Number={self.number},Type={self.kind},"
            f'Description="{self.description}">'
        )


class VcfRecord(NamedTuple):
    """One record: its first seven columns, INFO, and the rest of the line."""

    columns: Sequence[str]

    @property
    def contig(self) -> str:
        """The name of the contig in this file."""
        return self.columns[0]

    @property
    def has_position(self) -> bool:
        """Whether POS is a whole number of at most 18 digits."""
        return re.fullmatch(r"[0-9]{1,18}", self.columns[1]) is not None

    @property
    def position(self) -> int:
        """The 0-based position of the first letter of REF.

        It is -1, before the contig, if POS is 0 or not a whole number.
        """
        return int(self.columns[1]) - 1 if self.has_position else -1

    def site(self, contig: str) -> Site:
        """Return position and alleles, with the name of the contig in the genome."""
        alt = self.columns[4]
        alts = () if alt == "." else tuple(alt.split(","))
        return Site(contig, self.position, self.columns[3], alts)

    def with_info(self, added: Iterable[str], declared: Iterable[str]) -> str:
        """Return the line with entries added to INFO, replacing those of the same names.

        Parameters
        ----------
        added
            Entries, ``NAME=value`` or ``NAME``.
        declared
            Names of existing entries to remove.
        """
        names = set(declared)
        kept = [
            entry
            for entry in self.columns[7].split(";")
            if entry not in ("", ".") and entry.partition("=")[0] not in names
        ]
        info = ";".join([*kept, *added]) or "."
        return "\t".join([*self.columns[:7], info, *self.columns[8:]])


class VcfFile:
    """A VCF or BCF file that can be read from its start as often as needed.

    Parameters
    ----------
    path
        VCF, plain or compressed by gzip or bgzip; or BCF.
    name
        Name of the file in messages; None for the path.

    Attributes
    ----------
    header
        The lines of the header; the last is the line of column names.
    n_empty
        Number of empty lines met by the last call of `records`.

    Raises
    ------
    InputError
        If the file is missing or truncated, or has no valid VCF header.
    """

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        self.name = name or str(path)
        self._path = path
        if not path.is_file():
            raise InputError(f"there is no VCF file {path}")
        kind = compression(path)
        self._is_packed = kind != "none"
        if kind == "bgzip":
            check_bgzip_is_whole(path, name=self.name)
        with self._damage_error(), self._bytes() as file:
            self._is_bcf = file.read(len(_BCF_MAGIC)) == _BCF_MAGIC
        self.n_empty = 0
        with self._damage_error(), self._lines() as lines:
            self.header = self._read_header(lines)

    def records(self) -> Iterator[VcfRecord]:
        """Yield the records in order; a contig name may begin with #.

        Raises
        ------
        InputError
            If a line is not a record (the message has its number), or the file is truncated.
        """
        self.n_empty = 0
        with self._damage_error(), self._lines() as lines:
            first = len(self.header)
            for number, line in enumerate(islice(lines, first, None), start=first + 1):
                if line.strip(" "):
                    yield self._record(line, number)
                else:
                    self.n_empty += 1

    def _record(self, line: str, number: int) -> VcfRecord:
        if line.startswith(("##", _COLUMNS)):
            raise InputError(
                f"{self.name}, line {number:,}: a header line among the records, {line[:60]!r}; "
                "to join several files, use bcftools concat"
            )
        columns = line.split("\t", _N_COLUMNS)
        if len(columns) < _N_COLUMNS:
            raise InputError(
                f"{self.name}, line {number:,}: expected at least eight columns, separated by "
                f"tabs; got {line[:60]!r}"
            )
        n_columns, n_expected = line.count("\t") + 1, self.header[-1].count("\t") + 1
        if n_columns < n_expected:
            raise InputError(
                f"{self.name}, line {number:,}: expected the {n_expected:,} columns of the header, "
                f"got {n_columns:,} in {line[:60]!r}; check that the file is not truncated"
            )
        return VcfRecord(columns)

    def _read_header(self, lines: Iterator[str]) -> list[str]:
        first = next(lines, "")
        if not first.startswith(_FIRST):
            raise InputError(
                f"{self.name} has no VCF header: expected {_FIRST}... as its first line, got "
                f"{first[:40]!r}; restore the header, or choose another file"
            )
        header = [first]
        for line in lines:
            header.append(line)
            if line.startswith(_COLUMNS):
                return header
            if not line.startswith("##"):
                break
        raise InputError(
            f"{self.name} has no line of column names after its header: expected #CHROM POS ID REF "
            f"ALT QUAL FILTER INFO, separated by tabs; got {header[-1][:40]!r}"
        )

    @contextmanager
    def _bytes(self) -> Generator[IO[bytes]]:
        """Open the file as uncompressed bytes."""
        if self._is_packed:
            with gzip.open(self._path) as file:
                yield file  # pyright: ignore[reportReturnType] it reads as any file does
        else:
            with self._path.open("rb") as file:
                yield file

    @contextmanager
    def _lines(self) -> Generator[Iterator[str]]:
        """Open the file as lines of VCF text, without line ends."""
        if self._is_bcf:
            try:
                opened = pysam.VariantFile(str(self._path))
            except (OSError, ValueError) as error:
                raise EOFError(str(error)) from error
            with opened as file:
                yield _bcf_lines(file)
        else:
            with self._bytes() as file:
                yield _text_lines(file, self.name)

    @contextmanager
    def _damage_error(self) -> Generator[None]:
        """Convert errors of the libraries about a damaged file to an InputError."""
        loudness = pysam.set_verbosity(0)
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{self.name} is truncated or damaged ({error}); copy it again"
            ) from error
        finally:
            pysam.set_verbosity(loudness)


def _text_lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(file):
        if b"\0" in line:
            raise InputError(
                f"{name}, line {number + 1:,}: a NUL byte; the file is damaged: copy it again"
            )
        text = line if number else line.removeprefix(_BYTE_ORDER_MARK)
        yield text.rstrip(b"\r\n").decode(**_TEXT)


def _bcf_lines(file: pysam.VariantFile) -> Iterator[str]:
    yield from _text_of(file.header).removesuffix("\n").split("\n")
    try:
        for record in file:
            yield _text_of(record).rstrip("\n")
    except (OSError, ValueError) as error:
        raise EOFError(str(error)) from error


def _text_of(part: pysam.VariantHeader | pysam.VariantRecord) -> str:
    """Return a header or record of a BCF file as text; keep bytes that are not UTF-8."""
    before = pysam.set_encoding_error_handler(_ODD_BYTES)
    try:
        return str(part)
    finally:
        pysam.set_encoding_error_handler(before)


def declaration(line: str) -> tuple[str, str] | None:
    """Return the kind and ID of a declaration in a header; None for other lines.

    Examples
    --------
    >>> declaration('##INFO=<Number=1,Description="not ,ID=XX",ID=DP,Type=Integer>')
    ('INFO', 'DP')
    """
    found = _DECLARATION.match(without_quoted(line))
    return (found[1], found[2]) if found else None


def without_quoted(line: str) -> str:
    """Return a header line with its quoted texts emptied."""
    return _QUOTED.sub('""', line)


def extended_header(
    header: Sequence[str],
    fields: Iterable[InfoField],
    notes: Mapping[str, str],
    *,
    declared: Iterable[str],
    prefix: str,
) -> list[str]:
    """Return a header with declarations and notes added before the line of column names.

    Parameters
    ----------
    header
        Lines of a header; the last is the line of column names.
    fields
        INFO fields to declare.
    notes
        Notes by key, written as lines ``##<prefix><key>=<value>``.
    declared
        Names of INFO fields whose earlier declarations are removed; see `VcfRecord.with_info`.
    prefix
        Prefix of the keys of notes; earlier lines with this prefix are removed.
    """
    added = [str(field) for field in fields]
    replaced = {("INFO", name) for name in declared}
    kept = [
        line
        for line in header[:-1]
        if not line.startswith(f"##{prefix}") and declaration(line) not in replaced
    ]
    written = [f"##{prefix}{key}={value}" for key, value in notes.items()]
    return [*kept, *added, *written, header[-1]]


def write_vcf(path: Path, header: Iterable[str], records: Iterable[str], *, bgzip: bool) -> None:
    """Write a header and records, compressed or not.

    Parameters
    ----------
    path
        The file to write.
    header
        Lines of the header.
    records
        Lines of the records; each is written as soon as it is read.
    bgzip
        Whether to compress with bgzip.
    """
    with _bgzip(path) if bgzip else path.open("wb") as file:
        for line in chain(header, records):
            file.write(f"{line}\n".encode(**_TEXT))


@contextmanager
def _bgzip(path: Path) -> Generator[pysam.BGZFile]:
    with work_errors("a bgzip file"):
        file = pysam.BGZFile(str(path), "wb", None)
        try:
            yield file
            file.close()
        except OSError:
            with suppress(OSError):  # otherwise garbage collection closes it with a traceback
                file.close()
            raise
    check_written_whole(path)


@contextmanager
def work_errors(what: str) -> Generator[None]:
    """Raise a WorkError if pysam fails to write and gives no reason; silence its messages."""
    loudness = pysam.set_verbosity(0)
    try:
        yield
    except OSError as error:
        if error.errno:
            raise
        raise WorkError(f"{what} could not be written ({error}): the disk may be full") from error
    finally:
        pysam.set_verbosity(loudness)


def check_written_whole(path: Path) -> None:
    """Raise a WorkError unless a bgzip file was written completely."""
    try:
        check_bgzip_is_whole(path, name=path.name)
    except InputError as error:
        raise WorkError(f"{path} could not be written completely: the disk may be full") from error


def printable(text: str) -> str:
    r"""Return text of a file as it can be shown: bytes that are not UTF-8 become ``\xe9``."""
    return text.encode(**_TEXT).decode("utf-8", "backslashreplace")


def index_vcf(path: Path, index: Path, *, longest_contig: int) -> None:
    """Write the tabix index of a sorted bgzip file: .csi if contigs are too long for .tbi.

    Parameters
    ----------
    path
        The file.
    index
        The index to write, with the suffix of `index_suffix`.
    longest_contig
        Length of the longest contig in bp, or the last position of a record beyond it.
    """
    with work_errors("the index"):
        pysam.tabix_index(
            str(path), preset="vcf", index=str(index), force=True,
            csi=index_suffix(longest_contig) == ".csi",
        )  # fmt: skip
    check_written_whole(index)


def index_suffix(longest_contig: int) -> str:
    """Return the index suffix for contigs of a length in bp (SAM specification: .tbi to 2²⁹)."""
    return ".tbi" if longest_contig < 1 << 29 else ".csi"
