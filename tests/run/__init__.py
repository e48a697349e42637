"""Tests of megabase.run."""
