"""A toolkit for DNA language models that read up to a million nucleotides at once."""

from importlib.metadata import version

from megabase.import_hook import register_with_transformers

__version__ = version("megabase")

register_with_transformers()
