"""Compare a model's scores of substitutions with a reporter assay in cells (MPRA).

megabase pretrain --genome chr20_grch37.fa.gz --output model --steps 1100 \
    --set 'split.test_regions=["20:42,900,001-43,100,000","20:45,000,001-63,025,520"]' \
    --set soft_mask_weight=0.1
python scripts/mpra.py --model model --genome chr20_grch37.fa.gz \
    --table mpra_saturation_kircher2019.tsv.gz

The table is that of Kircher et al. 2019, "Saturation mutagenesis of twenty disease-associated
regulatory elements at single base-pair resolution", Nature Communications 10:3583. As is
usual for it, substitutions with fewer than ten barcodes are left out, and so are deletions.
`Coefficient` is the log2 of the change in expression. The model is never fitted to it.
"""

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from megabase.data.token_store import open_token_store
from megabase.evaluation.scored_regions import choose_regions
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.inference.predictor import Predictor
from megabase.io.derived_files import file_sha256
from megabase.io.genome_file import open_reference
from megabase.metrics.bootstrap import Correlation, correlate
from megabase.metrics.markov import MarkovModel, fit_markov
from megabase.runtime.location import cache_folder, genome_path

LEAST_BARCODES = 10
BLOCK = 10  # bases drawn together by the bootstrap: about the size of a binding site
AROUND = 16  # bases on either side that the Markov model reads


class Measured(NamedTuple):
    """Measured substitutions of an element, and how many rows were left out."""

    region: Interval
    positions: np.ndarray
    refs: list[str]
    alts: list[str]
    effects: np.ndarray
    n_deletions: int
    n_few_barcodes: int


def read_element(table: Path, element: str, release: str) -> Measured:
    """Read the substitutions of an element with enough barcodes; positions become 0-based."""
    with gzip.open(table, "rt", encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t")
            if (row["Element"], row["Release"]) == (element, release)
        ]
    if not rows:
        raise typer.BadParameter(f"{table} has no element {element!r} of release {release!r}")
    substitutions = [row for row in rows if row["Alt"] != "-"]
    kept = [row for row in substitutions if int(row["Barcodes"]) >= LEAST_BARCODES]
    positions = np.array([int(row["Pos"]) - 1 for row in kept])
    return Measured(
        region=Interval(kept[0]["Chrom"], int(positions.min()), int(positions.max()) + 1),
        positions=positions,
        refs=[row["Ref"] for row in kept],
        alts=[row["Alt"] for row in kept],
        effects=np.array([float(row["Coefficient"]) for row in kept]),
        n_deletions=len(rows) - len(substitutions),
        n_few_barcodes=len(substitutions) - len(kept),
    )


def markov_ratios(markov: MarkovModel, letters: str, region: Interval) -> np.ndarray:
    """Return log-likelihood ratios (length, 4) of a Markov model, the mean of both strands.

    Ratios are alternative minus reference, in nats.
    """

    def total(text: str) -> float:
        return sum(
            float(markov.log_probabilities(DNA_VOCABULARY.to_bases(tokens)).sum())
            for tokens in (
                DNA_VOCABULARY.encode(strand).tokens
                for strand in (text, DNA.reverse_complement(text))
            )
        )

    ratios = np.zeros((len(region), 4))
    for offset in range(len(region)):
        around = letters[offset : offset + 2 * AROUND + 1]
        totals = [total(around[:AROUND] + base + around[AROUND + 1 :]) for base in DNA.bases]
        ratios[offset] = (np.array(totals) - total(around)) / 2
    return ratios


def baselines(measured: Measured) -> dict[str, np.ndarray]:
    """Return baselines without a model: the change of G + C, and nearness to the centre."""
    pairs = zip(measured.refs, measured.alts, strict=True)
    n_gc = np.array([(alt in "GC") - (ref in "GC") for ref, alt in pairs], dtype=float)
    centre = (measured.region.start + measured.region.end - 1) / 2
    return {
        "change of G + C": n_gc,
        "nearness to the centre": -np.abs(measured.positions - centre),
    }


def compare(scores: dict[str, np.ndarray], measured: Measured, seed: int) -> dict[str, Any]:
    """Correlate scores and their absolute values with effects and their absolute values."""
    blocks = (measured.positions - measured.region.start) // BLOCK
    effects = measured.effects
    sizes = {
        name: values if name.startswith("nearness") else np.abs(values)
        for name, values in scores.items()
    }

    def with_all(scores: dict[str, np.ndarray], effects: np.ndarray) -> dict[str, Any]:
        return {
            name: _texts(correlate(values, effects, blocks, seed=seed))
            for name, values in scores.items()
        }

    return {
        "gradient and exact": _texts(
            correlate(scores["gradient"], scores["exact"], blocks, seed=seed)
        ),
        "size of score and size of effect": with_all(sizes, np.abs(effects)),
        "score and effect": with_all(scores, effects),
        "size of score and effect": with_all(sizes, effects),
    }


def _texts(found: dict[str, Correlation]) -> dict[str, str]:
    """Format each coefficient with its interval."""
    texts: dict[str, str] = {}
    for kind, (value, interval) in found.items():
        ends = "no interval" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
        texts[kind] = f"{value:.3f} ({ends})"
    return texts


def main(
    model: Annotated[str, typer.Option(help="Model folder.")],
    genome: Annotated[str, typer.Option(help="FASTA or 2bit of that release.")],
    table: Annotated[Path, typer.Option(help="mpra_saturation_kircher2019.tsv.gz")],
    element: Annotated[str, typer.Option(help="Name of a tested element.")] = "HNF4A",
    release: Annotated[str, typer.Option(help="Assembly: GRCh37 or GRCh38.")] = "GRCh37",
    window: Annotated[int, typer.Option(help="Length of a window in bp.")] = 1024,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Print correlations with measured effects as JSON, each with its 95 % interval."""
    measured = read_element(table, element, release)
    region, positions = measured.region, measured.positions
    reference = open_reference(genome_path(genome), cache=cache_folder())
    store = open_token_store(genome_path(genome), cache=cache_folder())
    letters = reference.fetch(
        replace(region, start=region.start - AROUND, end=region.end + AROUND)
    ).upper()
    found = [letters[position - region.start + AROUND] for position in positions]
    if found != measured.refs:
        raise typer.BadParameter(f"{genome} differs from the bases of the table; is it {release}?")
    chosen = choose_regions(model, store, None)
    if not any(held.start <= region.start and region.end <= held.end for held in chosen.scored
               if held.contig == region.contig):  # fmt: skip
        raise typer.BadParameter(f"{model} was trained on {region}; hold that region out")
    predictor = Predictor.load(model)
    ratios = {
        mode: predictor.saturation_mutagenesis(reference, region, window=window, mode=mode)
        for mode in ("exact", "gradient")
    }
    learned = [DNA_VOCABULARY.to_bases(store.fetch(part)) for part in chosen.training]
    for markov in (fit_markov(learned), fit_markov(learned, max_order=5)):
        ratios[f"Markov model, order {markov.order}"] = markov_ratios(markov, letters, region)
    place = positions - region.start, [DNA.bases.index(alt) for alt in measured.alts]
    scores = {name: values[place] for name, values in ratios.items()} | baselines(measured)
    report = {
        "element": f"{element}, {region}",
        "n_substitutions": len(positions),
        "n_deletions_left_out": measured.n_deletions,
        "n_left_out_for_few_barcodes": measured.n_few_barcodes,
        "weights_sha256": predictor.weights_sha256,
        "table_sha256": file_sha256(table),
        "genome_sha256": store.sha256,
        "window": window,
        **compare(scores, measured, seed),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    typer.run(main)
