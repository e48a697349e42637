"""Training data: genomes as tokens, windows of them, and labelled tables."""
