"""Tests of megabase.io."""
