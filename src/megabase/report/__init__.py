"""Figures, tables and pages: this package reads results and computes nothing."""
