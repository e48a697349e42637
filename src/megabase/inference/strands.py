"""Which strands an answer is of."""

STRANDS = {"average": ("+", "-"), "forward": ("+",)}
"""The strands that are read, by what is asked for: the mean of both, or the forward one alone."""

EMBEDDING_STRANDS = STRANDS | {"both": ("+", "-")}
"""The same of embeddings, which can also stand side by side."""
