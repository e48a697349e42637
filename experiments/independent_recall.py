"""Measure recall of copies with recall-bench (PyPI), a program that is not ours.

pip install recall-bench
python experiments/independent_recall.py --model model \
    --genome chr20.fa.gz --background 20 45000000 63025520

The memory reads the whole sequence, and the network its last bases, as many as its context: those
that recall-bench scores are among them. The background is a region of a genome, instead of the hg38
test intervals that recall-bench downloads. Prints the copy advantage in nats per base.
"""

import argparse

import numpy as np
import recall_bench  # pyright: ignore[reportMissingImports]
import torch

from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictor import Predictor
from megabase.pipelines.sequences import open_genome

VARIANTS = {"exact": {}, "revcomp": {"variant": "revcomp"},
            "mutated 5 %": {"variant": "mutate", "mut_rate": 0.05}}  # fmt: skip


def logits_of(predictor: Predictor, tokens: torch.Tensor) -> torch.Tensor:
    """Return logits (1, length, token) of tokens (1, length): 0 where the network does not read."""
    length, memory = tokens.shape[1], predictor.memory
    shown = min(length, predictor.context_length)
    features = None
    if memory is not None:
        wanted = np.arange(length) >= length - shown
        found = memory.new_memory(length).read(memory.letters(tokens)[0], wanted)
        features = torch.from_numpy(found)[None]
    logits = torch.zeros(1, length, predictor.language.config.vocab_size)
    logits[:, -shown:] = predictor.language.logits(tokens[:, -shown:], features=features)
    return logits


def main() -> None:
    """Print a row for each variant and distance."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--genome", required=True)
    parser.add_argument("--background", required=True, nargs=3, metavar=("CONTIG", "START", "END"))
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--distances", type=int, nargs="+", default=list(recall_bench.DISTANCES))
    options = parser.parse_args()
    predictor = Predictor.load(options.model, device="cpu")
    contig, start, end = options.background
    letters = open_genome(options.genome).fetch(Interval(contig, int(start), int(end))).upper()
    judged = recall_bench.CallableModel(
        lambda ids: logits_of(predictor, ids),
        lambda text: DNA_VOCABULARY.encode(text, name="background").tokens.tolist(),
        max_ctx=1 << 24,
        device="cpu",
    )
    background = recall_bench.DNABackground.from_strings([letters])
    for name, keys in VARIANTS.items():
        rows = recall_bench.evaluate(
            judged, options.distances, trials=options.trials, background=background, verbose=False,
            **keys,
        )  # fmt: skip
        for row in rows:
            low, high, n = row["ci_lo"], row["ci_hi"], row["dist"]
            print(f"{name:12} {n:>8,} {row['copy_advantage']:7.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
