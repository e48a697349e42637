"""Letters and places of a genome, as values: no files, no torch."""
