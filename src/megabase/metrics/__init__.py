"""Numbers from numbers: no torch, no files."""
