"""Tests of megabase.inference."""
