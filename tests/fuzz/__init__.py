"""Fuzz tests: mutated inputs for every verb, and kills at random moments (docs/reliability.md)."""
