"""Which strands an answer is of."""

STRANDS = {"average": ("+", "-"), "forward": ("+",)}
"""The strands that are read, by what is asked for: the mean of both, or the forward one alone."""
