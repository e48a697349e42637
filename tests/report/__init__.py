"""Tests of megabase.report."""
