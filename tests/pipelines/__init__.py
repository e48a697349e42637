"""Tests of megabase.pipelines."""
