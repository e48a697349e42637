"""The configuration, paths, logging and output records of a run."""
