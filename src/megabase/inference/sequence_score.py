"""The likelihood of a whole sequence, summed over its bases."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32


class SequenceScore(NamedTuple):
    """The likelihood of a sequence under a model.

    Parameters
    ----------
    log_likelihood
        Sum over all bases except N, in nats.
    bits_per_base
        Negative log-likelihood in bits, divided by `n_scored`; NaN if no base was scored.
    n_scored
        Number of scored bases: all except N.
    per_base
        The log-likelihood of each base in nats; NaN where it is N.
    """

    log_likelihood: float
    bits_per_base: float
    n_scored: int
    per_base: Float32[np.ndarray, " length"]


def sequence_score(values: Float32[np.ndarray, " length"]) -> SequenceScore:
    """Sum the log-likelihoods (nats, NaN at N) of the bases of a sequence."""
    n_scored = int(np.count_nonzero(~np.isnan(values)))
    total = float(np.nansum(values, dtype=np.float64))
    bits = -total / (n_scored * math.log(2)) if n_scored else math.nan
    return SequenceScore(total, bits, n_scored, values)
