"""A DNA compressor as a baseline: what the user's own program needs for the same bases.

A compressor reads a past, then the bases to score. Their cost is the size of the compressed whole
minus the size of the compressed past, so that both the compressor and the model know the same.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8

from megabase.data.remembered_windows import GenomeText, known_elsewhere
from megabase.data.token_store import TokenStore
from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY

_LETTERS = np.frombuffer("".join(DNA_VOCABULARY.alphabet.bases).encode(), dtype=np.uint8)
_INPUT = "sequence"  # name of the file that the program compresses


@dataclass(frozen=True)
class Compression:
    """What a compressor needs for the scored bases.

    Attributes
    ----------
    command
        The command, to which the name of a file with the letters A, C, G and T is appended.
    bits_per_base
        Bits per scored base, given everything before it.
    microseconds_per_base
        Processor time for each base that was read, past included.
    """

    command: str
    bits_per_base: float
    microseconds_per_base: float


def parse_command(command: str) -> list[str]:
    """Return the words of a command, with the full path of its program.

    Raises
    ------
    InputError
        If the command is empty, or there is no such program.
    """
    words = shlex.split(command)
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise InputError(
            f"there is no program {words[0] if words else command!r}; give the command of a "
            "compressor, such as 'path/to/GeCo3 -l 12', which is run with the name of a file"
        )
    return [str(Path(program).resolve()), *words[1:]]


def compress(
    command: str,
    store: TokenStore,
    regions: Sequence[Interval],
    known: Sequence[Interval],
    *,
    earlier: Sequence[TokenStore] = (),
) -> Compression:
    """Return what a compressor needs for regions, after the same past as a memory of the model.

    For each region the past is the earlier genomes, the known regions of other contigs and those
    that begin after the last region, and then everything before the region on its contig. N is left
    out.

    Parameters
    ----------
    command
        The program and its options.
    store
        The genome.
    regions
        The regions to score.
    known
        Regions that are known in advance, as those of training.
    earlier
        Other genomes that are read first.

    Raises
    ------
    InputError
        If there is no such program.
    WorkError
        If the program fails, or writes nothing.
    """
    words = parse_command(command)
    n_bits, n_bases, n_read, seconds = 0, 0, 0, 0.0
    first = [_known_letters(GenomeText(other, other.contigs())) for other in earlier]
    for region in regions:
        last = max(each.end for each in regions if each.contig == region.contig)
        others = known_elsewhere(known, region.contig, last)
        before = [Interval(region.contig, 0, region.start)] if region.start else []
        past = np.concatenate([*first, _known_letters(GenomeText(store, [*others, *before]))])
        target = _known_letters(GenomeText(store, [region]))
        for letters, sign in ((np.concatenate([past, target]), 1), (past, -1)):
            if len(letters):
                n_bytes, used = _compressed(words, letters)
                n_bits += sign * 8 * n_bytes
                seconds += used
                n_read += len(letters)
        n_bases += len(target)
    return Compression(command, n_bits / n_bases, 1e6 * seconds / n_read)


def _known_letters(text: GenomeText) -> UInt8[np.ndarray, " length"]:
    numbers = text.read(0, len(text))
    return _LETTERS[numbers[numbers < len(_LETTERS)]]


def _compressed(words: list[str], letters: UInt8[np.ndarray, " length"]) -> tuple[int, float]:
    """Return the size in bytes of compressed letters, and the processor time in seconds."""
    with TemporaryDirectory() as folder:
        Path(folder, _INPUT).write_bytes(letters.tobytes())
        before = _seconds_of_children()
        done = subprocess.run(
            [*words, _INPUT], cwd=folder, capture_output=True, text=True, errors="replace",
            check=False, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        made = [path for path in Path(folder).iterdir() if path.name != _INPUT]
        n_bytes = sum(path.stat().st_size for path in made)
        if done.returncode or not n_bytes:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise WorkError(
                f"{shlex.join(words)} {_INPUT} ended with exit code {done.returncode} and wrote "
                f"{n_bytes:,} bytes next to {_INPUT}; it said: {said}"
            )
        return n_bytes, _seconds_of_children() - before


def _seconds_of_children() -> float:
    used = os.times()
    return used.children_user + used.children_system
