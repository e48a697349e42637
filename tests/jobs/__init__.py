"""Tests of megabase.jobs."""
