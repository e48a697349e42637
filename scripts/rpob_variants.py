r"""Measure whether the scores of a gene's substitutions separate stop codons from silent changes.

printf 'K-12-MG1655\t4179267\t4183296\trpoB\n' > rpob.bed
megabase mutagenesis --model asset:default --genome asset:ecoli --regions rpob.bed \
    --output rpob.tsv --mode both
python scripts/rpob_variants.py rpob.tsv --output rpob.json

The default gene is rpoB of E. coli, which the shipped model and the model of `make demo` hold out.
Every substitution of a codon is stop-gained, missense or synonymous by the standard genetic code.
The area under the ROC curve is the probability that a substitution of the first class has a lower
log-likelihood ratio than one of the second. It is reported next to Markov models fitted to the
bases that the model's training did not hold out, and to scores that need no model. The bootstrap
draws codons, because the substitutions of a codon are not independent. Nothing is fitted to the
classes.
"""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Float, Int

from megabase.data.token_store import open_token_store
from megabase.evaluation.scored_regions import choose_regions
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.io.genome_file import open_reference
from megabase.metrics.bootstrap import bootstrap_all
from megabase.metrics.markov import MarkovModel, fit_markov
from megabase.metrics.task_metrics import Ranking
from megabase.report.pages import Table
from megabase.runtime.artifacts import RECORD, atomic_file, read_record
from megabase.runtime.environment import stamp
from megabase.runtime.location import cache_folder, genome_path

# The standard genetic code (NCBI table 1; the bacterial code, table 11, has the same amino acids):
# one letter per codon, in the order T, C, A, G of the first, second and third base.
_AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODE = {
    first + second + third: _AMINO_ACIDS[16 * i + 4 * j + k]
    for i, first in enumerate("TCAG")
    for j, second in enumerate("TCAG")
    for k, third in enumerate("TCAG")
}
STOP = "*"
CONTRASTS = (
    ("stop gained", "synonymous", "all"),
    ("stop gained", "synonymous", "third"),
    ("stop gained", "missense", "all"),
    ("missense", "synonymous", "all"),
)
"""The class that should score lower, the other, and whether all positions of a codon count."""
AROUND = 16  # bases on either side that the Markov model reads


def consequences(coding: str) -> list[tuple[int, str, str]]:
    """Classify every substitution of a coding sequence, except of its first and last codon.

    A substitution of the start codon may prevent the start of translation, and one of the stop
    codon extends the protein; neither is one of the three classes.

    Parameters
    ----------
    coding
        The coding strand in capitals, from start codon to stop codon.

    Returns
    -------
    found
        Offset in the coding sequence, alternative base of the coding strand, and class.

    Raises
    ------
    typer.BadParameter
        If the length is not a multiple of three, or the only stop codon is not the last.
    """
    codons = [coding[i : i + 3] for i in range(0, len(coding), 3)]
    protein = "".join(CODE.get(codon, "?") for codon in codons)
    if "?" in protein or protein.find(STOP) != len(protein) - 1:
        raise typer.BadParameter(
            "the region is not a coding sequence: it must be whole codons of A, C, G, T, and its "
            "only stop codon the last"
        )
    return [
        (offset, alt, _consequence(codons[offset // 3], offset % 3, alt))
        for offset in range(3, len(coding) - 3)
        for alt in DNA.bases.replace(coding[offset], "")
    ]


def _consequence(codon: str, phase: int, alt: str) -> str:
    changed = CODE[codon[:phase] + alt + codon[phase + 1 :]]
    if changed == STOP:
        return "stop gained"
    return "synonymous" if changed == CODE[codon] else "missense"


def read_ratios(table: Path, gene: Interval, letters: str) -> dict[str, Float[np.ndarray, "_ 4"]]:
    """Read the ratios of a mutagenesis table, as (length, 4) on the forward strand."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    columns = [name for name in ("llr", "llr_gradient") if rows and name in rows[0]]
    found = {name: np.full((len(gene), 4), np.nan) for name in columns}
    for row in rows:
        position = int(row["position"])
        if row["contig"] != gene.contig or not gene.start <= position < gene.end:
            continue
        if row["ref"] != letters[position - gene.start]:
            raise typer.BadParameter(f"{table} is of another genome: base {position}")
        for name in columns:
            place = position - gene.start, DNA.bases.index(row["alt"])
            found[name][place] = float(row[name])
    own = [DNA.bases.index(letter) for letter in letters]
    for name, values in found.items():
        values[np.arange(len(gene)), own] = 0.0
        if np.isnan(values).any():
            raise typer.BadParameter(f"{table} lacks a finite {name} of some base of {gene}")
    if not found:
        raise typer.BadParameter(f"{table} is not a table of `megabase mutagenesis`")
    return found


def markov_ratios(markov: MarkovModel, letters: str) -> Float[np.ndarray, "_ 4"]:
    """Return log-likelihood ratios of a Markov model, in nats, the mean of both strands.

    Parameters
    ----------
    markov
        The model; its order must be at most `AROUND`.
    letters
        The letters of the gene with `AROUND` further letters on either side.
    """
    bases = DNA_VOCABULARY.to_bases(DNA_VOCABULARY.encode(letters).tokens)
    ratios = np.zeros((len(letters) - 2 * AROUND, 4))
    for offset in range(len(ratios)):
        around = bases[offset : offset + 2 * AROUND + 1]
        totals = np.zeros(4)
        for alt in range(4):
            changed = around.copy()
            changed[AROUND] = alt
            turned = (3 - changed)[::-1]  # A C G T are 0 to 3, so the complement of b is 3 - b
            totals[alt] = sum(
                markov.log_probabilities(strand).sum() for strand in (changed, turned)
            )
        ratios[offset] = (totals - totals[around[AROUND]]) / 2
    return ratios


def areas(
    scores: dict[str, Float[np.ndarray, " row"]],
    kinds: np.ndarray,
    offsets: Int[np.ndarray, " row"],
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """Compute the area under the ROC curve of each contrast and score, with its interval.

    Parameters
    ----------
    scores
        A score of each substitution by name; lower means more damaging.
    kinds
        The class of each substitution.
    offsets
        The place of each substitution in the coding sequence; those of a codon are drawn
        together.
    seed
        Seed of the bootstrap.
    """
    _, units = np.unique(offsets // 3, return_inverse=True)
    n_codons = int(units.max()) + 1
    found: list[dict[str, Any]] = []
    for first, second, positions in CONTRASTS:
        chosen = np.isin(kinds, [first, second]) & ((positions == "all") | (offsets % 3 == 2))
        ranks = {
            name: Ranking(kinds[chosen] == first, -values[chosen])
            for name, values in scores.items()
        }
        of_codon = units[chosen]

        def drawn(
            codons: Int[np.ndarray, " unit"],
            ranks: dict[str, Ranking] = ranks,
            of_codon: Int[np.ndarray, " row"] = of_codon,
        ) -> dict[str, float]:
            weights = np.bincount(codons, minlength=n_codons).astype(np.float64)[of_codon]
            return {name: ranking.areas(weights)[0] for name, ranking in ranks.items()}

        intervals = bootstrap_all(drawn, n_codons, seed=seed)
        found += [
            {
                "lower": first,
                "higher": second,
                "codon_positions": positions,
                "n_lower": int((kinds[chosen] == first).sum()),
                "n_higher": int((kinds[chosen] == second).sum()),
                "score": name,
                "auroc": ranking.areas()[0],
                "interval": intervals[name],
            }
            for name, ranking in ranks.items()
        ]
    return found


def _cell(row: dict[str, Any]) -> str:
    interval = row["interval"]
    ends = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{row['auroc']:.3f}{ends}"


def summary(report: dict[str, Any]) -> str:
    """Return the table of areas, and the counts, as Markdown."""
    names = dict.fromkeys(row["score"] for row in report["areas"])
    rows = [
        (name, *(_cell(row) for row in report["areas"] if row["score"] == name)) for name in names
    ]
    head = (
        "score",
        *(
            f"{first} below {second}" + ("" if positions == "all" else f", {positions} position")
            for first, second, positions in CONTRASTS
        ),
    )
    counts = ", ".join(f"{n:,} {kind}" for kind, n in report["counts"].items())
    return f"{report['gene']}: {counts}\n\n{Table(head, rows).to_markdown()}"


def main(
    table: Annotated[Path, typer.Argument(help="The table of `megabase mutagenesis`.")],
    output: Annotated[Path, typer.Option(help="JSON file to write.")],
    model: Annotated[str, typer.Option(help="The model that the table is of.")] = "asset:default",
    genome: Annotated[str, typer.Option(help="FASTA or 2bit file.")] = "asset:ecoli",
    gene: Annotated[
        str, typer.Option(help="contig:first-last, 1-based, from start to stop codon.")
    ] = "K-12-MG1655:4179268-4183296",
    strand: Annotated[str, typer.Option(help="Strand of the gene: + or -.")] = "+",
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Print the areas under the ROC curve as a table, and write them as JSON."""
    place = Interval.from_region(gene)
    reference = open_reference(genome_path(genome), cache=cache_folder())
    store = open_token_store(genome_path(genome), cache=cache_folder())
    chosen = choose_regions(model, store, None)
    held = [part for part in chosen.scored if part.contig == place.contig]
    if chosen.n_bases_trained_on != 0 or not any(
        part.start <= place.start and place.end <= part.end for part in held
    ):
        raise typer.BadParameter(f"the record of {model} does not show that {gene} was held out")
    wide = Interval(place.contig, place.start - AROUND, place.end + AROUND)
    letters = reference.fetch(wide).upper()
    inside = letters[AROUND:-AROUND]
    ratios = {f"{model}, {name}": values for name, values in
              read_ratios(table, place, inside).items()}  # fmt: skip
    training = [DNA_VOCABULARY.to_bases(store.fetch(part)) for part in chosen.training]
    for markov in (fit_markov(training), fit_markov(training, max_order=5)):
        ratios[f"Markov model, order {markov.order}"] = markov_ratios(markov, letters)
    if strand == "-":
        # reversing positions and columns gives the coding strand: T G C A is A C G T reversed
        ratios = {name: values[::-1, ::-1] for name, values in ratios.items()}
    coding = inside if strand == "+" else DNA.reverse_complement(inside)
    found = consequences(coding)
    offsets = np.array([offset for offset, _, _ in found])
    alts = np.array([DNA.bases.index(alt) for _, alt, _ in found])
    kinds = np.array([kind for _, _, kind in found])
    scores = {name: values[offsets, alts] for name, values in ratios.items()}
    scores["position in the codon: third above first and second"] = (offsets % 3 == 2) * 1.0
    refs = np.array([DNA.bases.index(coding[offset]) for offset in offsets])
    is_transition = np.abs(refs - alts) == 2  # A and G, or C and T
    scores["transition above transversion"] = is_transition * 1.0
    report = {
        "gene": f"{gene} ({strand})",
        "counts": dict(Counter(kinds.tolist()).most_common()),
        "mean_llr": {
            kind: {name: float(values[kinds == kind].mean()) for name, values in scores.items()}
            for kind in dict.fromkeys(kinds.tolist())
        },
        "n_codons": len(coding) // 3 - 2,
        "seed": seed,
        "areas": areas(scores, kinds, offsets, seed=seed),
        "table": read_record(Path(f"{table}.{RECORD}")),
        **stamp(),
    }
    with atomic_file(output) as file:
        json.dump(report, file, indent=1)
    print(summary(report))


if __name__ == "__main__":
    typer.run(main)
