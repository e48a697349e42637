"""Letters and positions of a genome as values: no files, no torch."""
