"""Readers and writers of genomic and tabular file formats."""
