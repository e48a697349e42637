"""How likely a model finds a whole sequence: the sums of what it says of each base."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32


class SequenceScore(NamedTuple):
    """How likely a model finds a sequence.

    Parameters
    ----------
    log_likelihood
        Nats, summed over all bases but N.
    bits_per_base
        The same in bits, with the sign turned, for each base that was scored; NaN if none was.
    n_scored
        Bases that were scored: all but N.
    per_base
        The log-likelihood of each base in nats; NaN where it is N.
    """

    log_likelihood: float
    bits_per_base: float
    n_scored: int
    per_base: Float32[np.ndarray, " length"]


def sequence_score(values: Float32[np.ndarray, " length"]) -> SequenceScore:
    """Sum the log-likelihoods of the bases of a sequence."""
    n_scored = int(np.count_nonzero(~np.isnan(values)))
    total = float(np.nansum(values, dtype=np.float64))
    bits = -total / (n_scored * math.log(2)) if n_scored else math.nan
    return SequenceScore(total, bits, n_scored, values)
