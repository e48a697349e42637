"""Tests of megabase.ops."""
