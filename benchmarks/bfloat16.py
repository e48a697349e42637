"""Measure how bfloat16 matrix products change a model's results, on the shipped E. coli genome.

python benchmarks/bfloat16.py MODEL [LENGTH]

Prints the largest error of a logit as a share of the largest logit, the share of positions with
the same likeliest base, and the bits per base of float32 and bfloat16.
"""

import math
import sys

import numpy as np
import torch

from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.likelihood import log_likelihoods
from megabase.io.genome_file import open_reference
from megabase.model.load import load
from megabase.ops.backends import Engine
from megabase.runtime.environment import machine, versions
from megabase.runtime.location import cache_folder, genome_path


def main() -> None:
    """Compare float32 and bfloat16 on the last window of the genome."""
    name = sys.argv[1]
    model = load(name).model
    length = int(sys.argv[2]) if len(sys.argv) > 2 else model.config.context_length
    reference = open_reference(genome_path("asset:ecoli"), cache=cache_folder())
    contig, n = next(iter(reference.lengths.items()))
    letters = reference.fetch(Interval(contig, n - length, n))
    tokens = DNA_VOCABULARY.encode(letters).tokens
    logits, bits = [], []
    for dtype in (None, torch.bfloat16):
        model.backbone.engine = Engine(matmul_dtype=dtype)
        with torch.inference_mode():
            logits.append(model(torch.from_numpy(tokens.astype(np.int64))[None]).logits[..., 7:11])
        (values,) = log_likelihoods(model, [tokens])
        bits.append(-float(np.nanmean(values)) / math.log(2))
    exact, rounded = logits
    error = ((rounded - exact).abs().max() / exact.abs().max()).item()
    same = (rounded.argmax(-1) == exact.argmax(-1)).double().mean().item()
    print(f"{machine()}; {versions()}")
    print(
        f"{length:,} tokens of {contig}: largest error {error:.2%} of the largest logit, ", end=""
    )
    print(f"same likeliest base {same:.2%}, bits per base {bits[0]:.4f} and {bits[1]:.4f}")


if __name__ == "__main__":
    main()
