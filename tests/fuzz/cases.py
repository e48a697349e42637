"""A case: one command and the files that it reads, one of them damaged.

Case `index` of a seed is always the same, whatever ran before it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.fuzz import mutations, wellformed
from tests.fuzz.ways import WAYS, Way


@dataclass(frozen=True)
class Case:
    """A `Way` with its drawn files and the names of the mutations."""

    way: Way
    files: Mapping[str, bytes]
    changes: tuple[str, ...]
    likelihood: Callable[[str], float] | None = None

    def __getattr__(self, name):
        return getattr(self.way, name)

    def with_likelihood(self, likelihood):
        """Return the case with a function from letters to their log-likelihood."""
        return replace(self, likelihood=likelihood)

    @property
    def arguments(self):
        """The command line after `megabase`."""
        return (*self.way.verb.split(), *self.way.arguments)

    @property
    def must_succeed(self):
        """Whether the mutations keep the meaning of the input, so that it must be read."""
        harmless = {each.__name__ for each in mutations.HARMLESS}
        if self.changes.count(mutations.bom.__name__) > 1:  # a second mark is a letter
            return False
        return not set(self.changes) - harmless and self.way.kind not in _MAY_REFUSE


_MAY_REFUSE = (
    "gtf", "options", "parquet", "config.json", "tokenizer", "fingerprint", "record",
    "yaml evil", "fasta packed",
)  # fmt: skip
"""Kinds for which a refusal is allowed, or whose text may be damaged before compression."""


def of_index(seed: int, index: int) -> Case:
    """Draw case `index` of a seed."""
    return draw(Random(f"{seed}:{index}"))


def draw(rng: Random, ways: Sequence[Way] | None = None) -> Case:
    """Draw a case: a way, its files, and mutations of the target file."""
    ways = ways or WAYS
    way = rng.choices(ways, [way.weight for way in ways])[0]
    files = {name: write(rng) for name, write in way.beside.items()}
    data = way.write(rng)
    if way.folder:
        files |= wellformed.folder_files(ASSETS / way.folder, way.folder)
        data = files[way.target]
    data, changes = mutations.draw(rng, data, way.mutations)
    if way.kind == "options":
        return replace_option(rng, way, files | {way.target: data})
    return Case(way, files | {way.target: data}, tuple(changes))


def replace_option(rng, way, files):
    """Replace the values of options with problematic texts."""
    arguments = list(way.arguments)
    places = [at for at, each in enumerate(arguments) if each.startswith("VALUE")]
    changes = []
    for at in places:
        usual = arguments[at].removeprefix("VALUE=")
        arguments[at] = rng.choice((usual, usual, rng.choice(mutations.NASTY), rng.choice(_ODD)))
        arguments[at] = arguments[at].replace("\x00", "0")
        changes.append(arguments[at])
    return Case(replace(way, arguments=tuple(arguments)), files, tuple(changes))


_ODD = (
    "0.4-0.6", "0.6-0.4", "0-0", "1-1", "0.5-0.5", "-0.1-0.5", "0.1-1.1", "0.4-", "-", "40-60",
    "NNN",
    "GAATTC", "N", "A", "RY", "GAATTC,", "ACGTACGTACGTACGTACGTACGT", "TATAWAW", "2/1", "1/2", "0/0",
    "1/0", "1/99999999999", "mean", "none", "window:3", "window:0", "window:-1", "window:99999999",
    "both", "forward", "average", "exact", "cuda:9", "mps", "cpu:0", "0", "1", "2", "255", "256",
    "257",
    "1000000000", "1e-9", "0.0", "-1.5",
)  # fmt: skip

ASSETS = Path()
"""The folder of `wellformed.make_assets`; set by `use_assets` before drawing."""


def use_assets(folder):
    """Set the folder of the models."""
    globals()["ASSETS"] = folder
