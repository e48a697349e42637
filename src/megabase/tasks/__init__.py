"""Tasks as data: the source of the rows, the metric, and published numbers."""
