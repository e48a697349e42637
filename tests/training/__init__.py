"""Tests of megabase.training."""
