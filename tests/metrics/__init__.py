"""Tests of megabase.metrics."""
