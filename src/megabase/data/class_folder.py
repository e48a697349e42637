"""A folder with one FASTA file for each class, and a FASTA file, as rows of a table."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from megabase.data.labels import LABEL
from megabase.errors import InputError
from megabase.io.fasta import is_fasta, read_fasta

_log = logging.getLogger(__name__)

_INDEXES = (".fai", ".gzi")


def class_files(folder: Path, *, tell: bool = False) -> dict[str, Path]:
    """Find the FASTA file of each class: what stands before the suffix of its name.

    ``promoter.fa`` and ``promoter.fasta.gz`` are of the class ``promoter``.

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
        if not path.is_file() or not is_fasta(path):
            others.append(path.name)
            continue
        name = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).stem
        if name in found:
            raise InputError(f"{folder} has two files of the class {name!r}; join them to one")
        found[name] = path
    if not found:
        raise InputError(
            f"{folder} holds no FASTA file; a folder has one for each class, such as promoter.fa"
        )
    if tell and others:
        _log.info("%s: passed over %s, which is no FASTA by its name", folder, ", ".join(others))
    return found


def read_class_folder(folder: Path, columns: Iterable[str] = ()) -> Iterator[dict[str, str]]:
    """Give name, sequence and label of every sequence, class by class in the order of names.

    Parameters
    ----------
    folder
        As of `class_files`.
    columns
        What is needed.

    Raises
    ------
    InputError
        As of `class_files`; if more than these three is needed, or a file cannot be read or
        holds no sequence.
    """
    others = [column for column in columns if column != LABEL]
    for label, path in class_files(folder, tell=True).items():
        for row in read_fasta_rows(path, others):
            yield {**row, LABEL: label}


def read_fasta_rows(path: Path, columns: Iterable[str] = ()) -> Iterator[dict[str, str]]:
    """Give the header of every sequence of a FASTA file as its name, and the sequence.

    Parameters
    ----------
    path
        The file.
    columns
        What is needed.

    Raises
    ------
    InputError
        If more than these two is needed, or the file holds no sequence.
    """
    if lacking := [column for column in columns if column not in ("name", "sequence")]:
        raise InputError(
            f"{path} is FASTA, which has no column {lacking[0]!r}; give a table, or for classes a "
            "folder with one FASTA file for each"
        )
    is_empty = True
    for entry in read_fasta(path):
        is_empty = False
        yield {"name": entry.header, "sequence": entry.letters}
    if is_empty:
        raise InputError(f"{path} holds no sequence")
