"""Tests of megabase.runtime."""
