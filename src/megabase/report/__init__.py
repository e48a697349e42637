"""Reads results, computes nothing."""
