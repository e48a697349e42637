"""Tests of megabase.measure."""
