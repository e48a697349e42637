"""Compare the substitutions of a model with those measured by a reporter assay in cells (MPRA).

megabase pretrain --genome chr20_grch37.fa.gz --output model --steps 1100 \
    --set 'split.test_regions=["20:42,900,001-43,100,000","20:45,000,001-63,025,520"]' \
    --set soft_mask_weight=0.1
python scripts/mpra.py --model model --genome chr20_grch37.fa.gz \
    --table mpra_saturation_kircher2019.tsv.gz

The table is that of Kircher et al. 2019, "Saturation mutagenesis of twenty disease-associated
regulatory elements at single base-pair resolution", Nature Communications 10:3583. As there,
substitutions with fewer than ten barcodes are left out; so are deletions. `Coefficient` is the
log2 of the change in expression. The model is never fitted to it.
"""

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from megabase.data.token_store import open_token_store
from megabase.evaluation.regions import choose_regions
from megabase.genome.alphabet import DNA
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictor import Predictor
from megabase.io.genome_file import open_reference
from megabase.measure.correlation import correlate
from megabase.measure.markov import MarkovModel, fit_markov
from megabase.run.location import cache_folder, genome_path
from megabase.run.provenance import file_sha256

LEAST_BARCODES = 10
BLOCK = 10  # bases that are drawn together by the bootstrap, about a binding site
AROUND = 16  # bases on either side that a Markov model is shown


class Measured(NamedTuple):
    """Substitutions of an element, and how many rows were left out."""

    region: Interval
    positions: np.ndarray
    refs: list[str]
    alts: list[str]
    effects: np.ndarray
    n_deletions: int
    n_few_barcodes: int


def read_element(table: Path, element: str, release: str) -> Measured:
    """Read the substitutions of an element with enough barcodes; positions become 0-based."""
    with gzip.open(table, "rt") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t")
            if (row["Element"], row["Release"]) == (element, release)
        ]
    if not rows:
        raise typer.BadParameter(f"{table} has no element {element!r} of {release!r}")
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
    """Give log-likelihood ratios of a Markov model, (length, 4), the mean of both strands."""

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


def main(
    model: Annotated[str, typer.Option(help="Model folder.")],
    genome: Annotated[str, typer.Option(help="FASTA or 2bit, of the release.")],
    table: Annotated[Path, typer.Option(help="mpra_saturation_kircher2019.tsv.gz")],
    element: Annotated[str, typer.Option(help="Name of a tested element.")] = "HNF4A",
    release: Annotated[str, typer.Option(help="GRCh37 or GRCh38.")] = "GRCh37",
    window: Annotated[int, typer.Option(help="Bases of a window.")] = 1024,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
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
        raise typer.BadParameter(f"{genome} has other letters than the table; is it {release}?")
    chosen = choose_regions(model, store, None)
    if not any(held.start <= region.start and region.end <= held.end for held in chosen.scored
               if held.contig == region.contig):  # fmt: skip
        raise typer.BadParameter(f"{model} was trained on {region}; hold it out")
    predictor = Predictor.load(model)
    ratios = {
        mode: predictor.saturation_mutagenesis(reference, region, window=window, mode=mode)
        for mode in ("exact", "gradient")
    }
    for order in (None, 5):
        learned = [DNA_VOCABULARY.to_bases(store.fetch(part)) for part in chosen.training]
        markov = fit_markov(learned, **({} if order is None else {"max_order": order}))
        ratios[f"Markov model, order {markov.order}"] = markov_ratios(markov, letters, region)
    place = positions - region.start, [DNA.bases.index(alt) for alt in measured.alts]
    scores = {name: values[place] for name, values in ratios.items()}
    n_gc = [
        (alt in "GC") - (ref in "GC") for ref, alt in zip(measured.refs, measured.alts, strict=True)
    ]
    scores["change of G + C"] = np.array(n_gc, dtype=float)
    centre = (region.start + region.end - 1) / 2
    scores["nearness to the centre"] = -np.abs(positions - centre)
    blocks = (positions - region.start) // BLOCK

    def correlations(x: np.ndarray, y: np.ndarray) -> dict[str, object]:
        return {
            kind: [round(each.value, 3), [round(end, 3) for end in each.interval or ()]]
            for kind, each in correlate(x, y, blocks, seed=seed).items()
        }

    effects = measured.effects
    report = {
        "element": f"{element}, {region}",
        "n_substitutions": len(positions),
        "n_deletions_left_out": measured.n_deletions,
        "n_left_out_for_few_barcodes": measured.n_few_barcodes,
        "weights_sha256": predictor.weights_sha256,
        "table_sha256": file_sha256(table),
        "genome_sha256": store.sha256,
        "window": window,
        "gradient and exact": correlations(scores["gradient"], scores["exact"]),
        "size of score and size of effect": {
            name: correlations(_size(name, values), np.abs(effects))
            for name, values in scores.items()
        },
        "score and effect": {
            name: correlations(values, effects) for name, values in scores.items()
        },
        "size of score and effect": {
            name: correlations(_size(name, values), effects) for name, values in scores.items()
        },
    }
    print(json.dumps(report, indent=2))


def _size(name: str, values: np.ndarray) -> np.ndarray:
    return values if name.startswith("nearness") else np.abs(values)


if __name__ == "__main__":
    typer.run(main)
