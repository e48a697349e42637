"""Tests of megabase.data."""
