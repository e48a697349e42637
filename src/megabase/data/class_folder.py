"""A folder with one FASTA or FASTQ file for each class, and such a file, as rows of a table."""

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
    """Find the FASTA or FASTQ file of each class: what stands before the suffix of its name.

    ``promoter.fa`` and ``promoter.fastq.gz`` are of the class ``promoter``.

    Parameters
    ----------
    folder
        Where they lie.
    tell
        Whether to log which other files are passed over.

    Raises
    ------
    InputError
        If there is no such file, or two of one class.
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
            raise InputError(f"{folder} has two files of the class {name!r}; join them to one")
        found[name] = path
    if not found:
        raise InputError(
            f"{folder} holds no FASTA file; a folder has one for each class, such as promoter.fa"
        )
    if tell and others:
        _log.info(
            "%s: passed over %s, which is neither FASTA nor FASTQ by its name",
            folder,
            ", ".join(others),
        )
    return found


def read_class_folder(
    folder: Path, columns: Iterable[str] = (), *, tell: bool = True
) -> Iterator[dict[str, str]]:
    """Give name, sequence and label of every sequence, class by class in the order of names.

    Parameters
    ----------
    folder
        As of `class_files`.
    columns
        What is needed.
    tell
        As of `read_sequences`.

    Raises
    ------
    InputError
        As of `class_files`; if more than these three is needed, or a file cannot be read or
        holds no sequence.
    """
    others = [column for column in columns if column != LABEL]
    for label, path in class_files(folder, tell=tell).items():
        for row in read_sequence_rows(path, others, tell=tell):
            yield {**row, LABEL: label}


def read_sequence_rows(
    path: Path, columns: Iterable[str] = (), *, tell: bool = True
) -> Iterator[dict[str, str]]:
    """Yield the header of every sequence of a FASTA or FASTQ file as its name, and the sequence.

    Parameters
    ----------
    path
        The file.
    columns
        What is needed.
    tell
        As of `read_sequences`.

    Raises
    ------
    InputError
        If more than these two is needed, or as of `read_sequences`.
    """
    if lacking := [column for column in columns if column not in ("name", "sequence")]:
        raise InputError(
            f"{path} is FASTA or FASTQ, which has no column {lacking[0]!r}; give a table, or for "
            "classes a folder with one such file for each"
        )
    for record in read_sequences(path, tell=tell):
        yield {"name": record.header, "sequence": record.letters}
