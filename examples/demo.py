"""Quickstart: pretrain a tiny model on E. coli, measure it on held-out bases, inspect a gene.

python examples/demo.py --output demo

It writes the model as a Hugging Face folder, metrics.json and demo.png. It also measures the
shipped model on the same bases, which its training held out too.
"""

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer
from jaxtyping import Float

from megabase.cli.main import plain_errors
from megabase.data.remembered_windows import GenomeText, remember_text
from megabase.data.token_store import open_token_store
from megabase.evaluation.perplexity import evaluate_held_out, held_out_bits
from megabase.genome.interval import Interval
from megabase.genome.shuffle import shuffle_dinucleotides
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictor import Predictor
from megabase.io.genome_file import open_reference
from megabase.model.files import DEFAULT_MODEL
from megabase.model.memory_mixer import MemoryMixer
from megabase.ops.memory import Memory
from megabase.report.figures import new_figure, plot_bars, plot_surprisal, plot_training
from megabase.runtime.artifacts import atomic_file
from megabase.runtime.config_file import read_config
from megabase.runtime.location import cache_folder, genome_path
from megabase.runtime.log import start_logging
from megabase.training.pretrain import METRICS, pretrain
from megabase.training.run_config import PretrainConfig

GENOME = "asset:ecoli"
CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"
RPOB = Interval("K-12-MG1655", 4_179_267, 4_183_296)
"""The gene of an RNA polymerase subunit, on the forward strand of the held-out tenth."""


def memory_before(predictor: Predictor, place: Interval) -> Memory:
    """Return a memory that has read everything before a place on its contig."""
    store = open_token_store(genome_path(GENOME), cache=cache_folder())
    text = GenomeText(store, [Interval(place.contig, 0, place.start)])
    memory = cast("MemoryMixer", predictor.memory).new_memory(place.end)
    remember_text(memory, text, 0, len(text), "+")
    return memory


def surprisal(predictor: Predictor, letters: str, memory: Memory) -> Float[np.ndarray, " length"]:
    """Return -log2 p of each base, in bits, given what a memory has read before.

    Each base is predicted from at least half a context, except near the start of `letters`.
    """
    tokens = DNA_VOCABULARY.encode(letters).tokens
    half = predictor.context_length // 2
    starts = range(0, len(tokens), half)
    parts = [slice(max(0, start - half), start + half) for start in starts]
    features = memory.copy().read(DNA_VOCABULARY.to_bases(tokens))
    values = predictor.log_likelihoods(
        (tokens[part] for part in parts), features=(features[part] for part in parts)
    )
    scored = [value[min(start, half) :] for start, value in zip(starts, values, strict=True)]
    return -np.concatenate(scored) / math.log(2)


def look_at_gene(predictor: Predictor) -> dict[str, Any]:
    """Return bits per base of a held-out gene, of its shuffles, and by codon position."""
    genome = open_reference(genome_path(GENOME), cache=cache_folder())
    letters = genome.fetch(RPOB)
    memory = memory_before(predictor, RPOB)
    bits = surprisal(predictor, letters, memory)
    rng = np.random.default_rng(0)
    shuffles = [shuffle_dinucleotides(letters, rng) for _ in range(3)]
    shuffled = [surprisal(predictor, each, memory).mean() for each in shuffles]
    return {
        "gene": float(bits.mean()),
        "shuffled_gene": float(np.mean(shuffled)),
        "codon_positions": [float(bits[phase::3].mean()) for phase in range(3)],
    }


def measure_shipped(held_out: Interval) -> dict[str, Any]:
    """Return the bits per base of the shipped model, whose training held out the same bases."""
    predictor = Predictor.load(DEFAULT_MODEL)
    store = open_token_store(genome_path(GENOME), cache=cache_folder())
    found = held_out_bits(predictor, store, [held_out])
    return asdict(found) | {"weights_sha256": predictor.weights_sha256}


def draw(output: Path, predictor: Predictor, metrics: dict[str, Any]) -> None:
    """Draw the training curve, the surprisal along the gene, and the means by codon position."""
    figure = new_figure(3)
    training, locus, summary = figure.axes
    lines = (output / "model" / METRICS).read_text(encoding="utf-8").splitlines()
    baselines = {
        f"Markov, order {metrics['markov_order']} (held-out)": metrics["markov_bits_per_base"],
        "composition (held-out)": metrics["order0_bits_per_base"],
        "this model at the end (held-out)": metrics["bits_per_base"],
    }
    plot_training(training, [json.loads(line) for line in lines], baselines)
    around = Interval(RPOB.contig, RPOB.start - 3000, RPOB.end + 3000)
    genome = open_reference(genome_path(GENOME), cache=cache_folder())
    bits = surprisal(predictor, genome.fetch(around), memory_before(predictor, around))
    plot_surprisal(locus, bits, start=around.start, gene=("rpoB", RPOB.start, RPOB.end))
    gene = metrics["rpoB"]
    names = ["rpoB", "shuffled", "codon position 1", "codon position 2", "codon position 3"]
    values = [gene["gene"], gene["shuffled_gene"], *gene["codon_positions"]]
    labels = {"ylabel": "bits per base", "title": "A held-out gene, and its codon positions"}
    plot_bars(summary, dict(zip(names, values, strict=True)), **labels)
    figure.savefig(output / "demo.png", dpi=110)


def summarise(metrics: dict[str, Any]) -> str:
    """Return a short summary of the results."""
    gene = metrics["rpoB"]
    first, second, third = gene["codon_positions"]
    return f"""
Held-out bits per base on {Interval(**metrics["held_out"])}, {metrics["n_bases"]:,} bases:
  this model                {metrics["bits_per_base"]:.4f}
  Markov, order {metrics["markov_order"]:<2}          {metrics["markov_bits_per_base"]:.4f}
  composition, order 0      {metrics["order0_bits_per_base"]:.4f}
  {DEFAULT_MODEL}, shipped    {metrics["shipped"]["bits_per_base"]:.4f}
The held-out gene rpoB has {gene["gene"]:.3f} bits per base, and
{gene["shuffled_gene"]:.3f} with its dinucleotides shuffled.
Its three codon positions have {first:.3f}, {second:.3f} and {third:.3f}.
Finished in {metrics["seconds"]:.0f} s.
"""


def main(
    output: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo"),
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing folder.")
    ] = False,
) -> None:
    """Pretrain, evaluate, inspect the gene and draw."""
    start_logging(quiet=False)
    started = time.monotonic()
    config = read_config(PretrainConfig, file=CONFIG, options={"steps": steps})
    pretrain(config, output / "model", overwrite=overwrite)
    report = evaluate_held_out(str(output / "model"), GENOME)
    predictor = Predictor.load(str(output / "model"))
    shipped = measure_shipped(Interval(*report["regions"][0]))
    metrics = {
        "bits_per_base": report["model"]["bits_per_base"],
        "markov_bits_per_base": report["markov"]["bits_per_base"],
        "order0_bits_per_base": report["order0"]["bits_per_base"],
        "markov_order": report["markov_order"],
        "held_out": dict(zip(("contig", "start", "end"), report["regions"][0], strict=True)),
        "n_bases": report["n_bases"],
        "shipped": shipped,
        "report": report,
        "rpoB": look_at_gene(predictor),
    }
    draw(output, predictor, metrics)
    metrics["seconds"] = round(time.monotonic() - started, 1)
    with atomic_file(output / "metrics.json") as file:
        json.dump(metrics, file, indent=2)
    print(summarise(metrics))


if __name__ == "__main__":
    with plain_errors():
        typer.run(main)
