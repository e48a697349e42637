"""Tests of megabase.model."""
