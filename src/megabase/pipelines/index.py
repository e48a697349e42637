"""Read genomes into an index file, with which the memory of a model begins."""

import logging
from collections.abc import Sequence
from pathlib import Path

from megabase.data.memory_index import MOST_LETTERS, letters_in_index, write_index
from megabase.data.token_store import open_token_store
from megabase.errors import InputError, counted
from megabase.model.architecture import Architecture
from megabase.model.files import find_model
from megabase.model.memory_mixer import memory_rules
from megabase.model.reading import read_keys
from megabase.ops.backends import memory_library
from megabase.ops.memory import default_odds
from megabase.ops.native_memory import native_memory_bytes
from megabase.runtime.artifacts import Output, check_no_input, exclusive_lock
from megabase.runtime.location import cache_folder, genome_path
from megabase.runtime.log import progress

_log = logging.getLogger(__name__)


def index(model: str, genomes: Sequence[str], output: Path, *, overwrite: bool = False) -> None:
    """Write an index of genomes, for models that count the same orders.

    Parameters
    ----------
    model
        Folder, file or hub id of a model with a memory, whose orders are counted.
    genomes
        FASTA or 2bit files, or ``asset:ecoli``.
    output
        The index to write.
    overwrite
        Whether an existing output may be replaced.

    Raises
    ------
    InputError
        If the model has no memory, a genome cannot be read, there are too many letters, or the
        memory cannot be compiled here.
    """
    paths = [genome_path(genome) for genome in genomes]
    check_no_input(output, paths)
    rules = memory_rules(Architecture.from_keys(read_keys(find_model(model))))
    if rules is None:
        raise InputError(
            f"{model} has no memory, and so nothing to begin with an index; name a model with one"
        )
    library, why_not = memory_library()
    if library is None:
        raise InputError(f"an index is made by compiled code, and none is here: {why_not}")
    stores = [open_token_store(path, cache=cache_folder()) for path in paths]
    n_letters = letters_in_index(stores)
    if n_letters > MOST_LETTERS:
        raise InputError(
            f"the genomes have {n_letters:,} letters, and an index at most {MOST_LETTERS:,}; "
            "leave some out"
        )
    request = {
        "command": "index",
        "orders": list(rules.orders),
        "pointer_orders": list(rules.pointer_orders),
        "genomes": [store.sha256 for store in stores],
    }
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if place.is_finished:
        return
    gib = native_memory_bytes(rules, n_letters) / 2**30
    _log.info(
        "indexing %s letters of %s; at most %.1f GiB of main memory and of disk",
        f"{n_letters:,}", counted(len(stores), "genome"), gib,
    )  # fmt: skip
    with (
        exclusive_lock(output, is_folder=False),
        place.write_at(n_letters=n_letters) as path,
        progress(n_letters, "indexing", "letters") as meter,
    ):
        memory = library.memory(rules, default_odds(), expected=n_letters)
        write_index(path, stores, memory, advance=meter.advance)
    _log.info("the index has %.2f GiB", output.stat().st_size / 2**30)
