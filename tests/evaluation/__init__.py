"""Tests of megabase.evaluation."""
