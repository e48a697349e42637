"""Read a folder with one FASTA or FASTQ file per class, or one such file, as rows of a table."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from megabase.data.labels import LABEL
from megabase.errors import InputError
from megabase.io.compression import uncompressed_name
from megabase.io.sequence_file import has_sequence_suffix, read_sequences

_log = logging.getLogger(__name__)

_INDEXES = (".fai", ".gzi")


def class_files(folder: Path, *, tell: bool = False) -> dict[str, Path]:
    """Return the FASTA or FASTQ file of each class, keyed by its name without the suffix.

    ``promoter.fa`` and ``promoter.fastq.gz`` both hold the class ``promoter``.

    Parameters
    ----------
    folder
        The folder that holds the files.
    tell
        Whether to log which other files are skipped.

    Raises
    ------
    InputError
        If the folder holds no such file, or two files of the same class.
    """
    found: dict[str, Path] = {}
    others: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix in _INDEXES:
            continue
        if not path.is_file() or not has_sequence_suffix(path):
            others.append(path.name)
            continue
        name = Path(uncompressed_name(path)).stem
        if name in found:
            raise InputError(f"{folder} has two files of the class {name!r}; join them into one")
        found[name] = path
    if not found:
        raise InputError(
            f"{folder} holds no FASTA file; expected one for each class, such as promoter.fa"
        )
    if tell and others:
        _log.info(
            "%s: skipped %s: the name is not that of a FASTA or FASTQ file",
            folder,
            ", ".join(others),
        )
    return found


def read_class_folder(
    folder: Path, columns: Iterable[str] = (), *, tell: bool = True
) -> Iterator[dict[str, str]]:
    """Yield name, sequence and label of every sequence, class by class in alphabetical order.

    Parameters
    ----------
    folder
        The folder that holds one FASTA or FASTQ file per class.
    columns
        The columns that the caller needs.
    tell
        Whether to log which files are skipped, and that qualities or blanks are left out.

    Raises
    ------
    InputError
        If the folder holds no such file or two files of the same class, a column other than
        ``name``, ``sequence`` and ``label`` is needed, or a file cannot be read or is empty.
    """
    others = [column for column in columns if column != LABEL]
    for label, path in class_files(folder, tell=tell).items():
        for row in read_sequence_rows(path, others, tell=tell):
            yield {**row, LABEL: label}


def read_sequence_rows(
    path: Path, columns: Iterable[str] = (), *, tell: bool = True
) -> Iterator[dict[str, str]]:
    """Yield every sequence of a FASTA or FASTQ file; its name is the whole header.

    Parameters
    ----------
    path
        The file, plain or compressed by gzip or bgzip.
    columns
        The columns that the caller needs.
    tell
        Whether to log that qualities or blanks are left out.

    Raises
    ------
    InputError
        If a column other than ``name`` and ``sequence`` is needed, or the file is missing,
        truncated, damaged or of another format.
    """
    if lacking := [column for column in columns if column not in ("name", "sequence")]:
        raise InputError(
            f"{path} is FASTA or FASTQ, which has no column {lacking[0]!r}; use a table or, for "
            "classes, a folder with one such file per class"
        )
    for record in read_sequences(path, tell=tell):
        yield {"name": record.header, "sequence": record.letters}
