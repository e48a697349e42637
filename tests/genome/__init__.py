"""Tests of megabase.genome."""
