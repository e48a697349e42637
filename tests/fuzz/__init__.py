"""Mutated inputs for every verb, and kills at random moments: see docs/reliability.md."""
