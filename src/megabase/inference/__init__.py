"""A model in, values out; no files."""
