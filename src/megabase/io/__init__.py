"""Genomic and tabular formats, and nothing else."""
