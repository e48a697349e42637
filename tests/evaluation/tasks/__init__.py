"""Tests of the statements of tasks."""
