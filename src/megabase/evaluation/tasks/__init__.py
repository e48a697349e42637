"""Tasks as data: statements in YAML, published numbers, and the readers of their rows; no torch."""
