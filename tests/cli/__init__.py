"""Tests of megabase.cli."""
