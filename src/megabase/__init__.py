"""A toolkit for DNA language models that read up to a million nucleotides at once.

Scripts import the public names from here. Each name is loaded on first use, so that `import
megabase` alone imports neither torch nor transformers.
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING

from megabase.import_hook import register_with_transformers

if TYPE_CHECKING:
    from megabase.genome.interval import Interval
    from megabase.inference.adapters import Embedder, OneHotModel
    from megabase.inference.letters import (
        embed,
        generate,
        load,
        saturation_mutagenesis,
        score_sequences,
        score_variants,
    )
    from megabase.inference.predictor import Predictor
    from megabase.pipelines.sequences import open_genome

__all__ = [
    "Embedder",
    "Interval",
    "OneHotModel",
    "Predictor",
    "embed",
    "generate",
    "load",
    "open_genome",
    "saturation_mutagenesis",
    "score_sequences",
    "score_variants",
]

__version__ = version("megabase")

_HOME = {
    "Embedder": "megabase.inference.adapters",
    "Interval": "megabase.genome.interval",
    "OneHotModel": "megabase.inference.adapters",
    "Predictor": "megabase.inference.predictor",
    "embed": "megabase.inference.letters",
    "generate": "megabase.inference.letters",
    "load": "megabase.inference.letters",
    "open_genome": "megabase.pipelines.sequences",
    "saturation_mutagenesis": "megabase.inference.letters",
    "score_sequences": "megabase.inference.letters",
    "score_variants": "megabase.inference.letters",
}
"""The module that defines each name of `__all__`."""

register_with_transformers()


def __getattr__(name: str) -> object:
    """Import a public name on its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'megabase' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
