"""Compare filters trained on the same tokens: 2 x 128 on yeast, one run per variant and seed.

python experiments/filters.py --genomes FOLDER --output DIR --variants "published;ours"

FOLDER holds yeast/sacCer3.fa.gz (UCSC). Each run is one `megabase pretrain` of 600 steps of 16
windows of 1,024 tokens (9.8 million), AdamW at 1e-3, without chrIV, chrXV and chrM. `megabase
evaluate perplexity` then scores 96 windows of 1,024 bases of chrXV, by which variants may be
chosen, and 96 of chrIV, which are only reported. Finished runs are not repeated. The table has
means over seeds, and the standard deviation on chrIV.
"""

import json
import statistics
from pathlib import Path
from typing import Annotated, Any

import typer
from mixers import MIXERS
from verbs import chosen, file_name, megabase, sets

from megabase.io.derived_files import file_sha256
from megabase.runtime.environment import machine, versions

LENGTH, FAR = 1024, 1_000_002  # tokens of a window; grid positions for a megabase
OURS, RELEASED = "tiny", "hyenadna-2x128"
SQUARES = {"filter_amplitude": 2.0, "amplitude_exponent": 0.5, "longest_reach": 1.0}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    # name: (preset, keys of the architecture)
    "published, its own grid": (RELEASED, {}),
    "published": (RELEASED, {"max_seq_len": FAR}),
    "published, 64 near taps": (RELEASED, {"max_seq_len": FAR, "n_near_taps": 64}),
    "ours": (OURS, {"max_seq_len": FAR}),
    "ours, its own grid": (OURS, {}),
    "ours, amplitude 4": (OURS, {"max_seq_len": FAR, "filter_amplitude": 4.0}),
    # Each of these changes one thing about windows of equal sums of squares over the whole grid.
    **{
        f"squares{change}": (OURS, {"max_seq_len": FAR, **SQUARES, **keys})
        for change, keys in {
            "": {},
            **{f", {n} near taps": {"n_near_taps": n} for n in (0, 16, 32, 128, 256, 512)},
            **{f", {n} features": {"emb_dim": n} for n in (3, 5, 13)},
            **{f", reach from {n}": {"shortest_reach": float(n)} for n in (1, 16, 64)},
            **{f", amplitude {a}": {"filter_amplitude": a} for a in (0.5, 1.0, 4.0)},
            ", equal sums": {"filter_amplitude": 4.0, "amplitude_exponent": 1.0},
            ", no gain": {"initializer_gain": None},
            ", sines of 10": {"activation_freq": 10.0},
            ", short convolution of 7": {"short_filter_order": 7},
        }.items()
    },
    **{name: (OURS, {"max_seq_len": FAR, **SQUARES}) for name in MIXERS},
}
SCORED = {"chrXV": (100_000, 198_304), "chrIV": (100_000, 198_304)}


def trained(name: str, seed: int, genome: Path, folder: Path, settings: list[str]) -> Path:
    """Train a variant from a seed, unless it is there, and return its folder."""
    preset, architecture = VARIANTS[name]
    model = folder / f"{file_name(name)}-{seed}"
    keys = {
        "genomes": json.dumps({"yeast": {"path": str(genome)}}),
        "architecture": json.dumps(architecture),
        "split": json.dumps(
            {"test_contigs": ["chrIV", "chrM"], "validation_contigs": ["chrXV"]}
        ),
        "steps": 600, "tokens_per_step": 16 * LENGTH, "warmup_fraction": 50 / 600,
        "validation_windows": 96, "log_every": 50,
    }  # fmt: skip
    given = keys | dict(text.split("=", 1) for text in settings)
    megabase(
        "pretrain", "--preset", preset, "--context-length", LENGTH, "--seed", seed,
        "--output", model, *sets(given), mixers=name if name in MIXERS else None,
    )  # fmt: skip
    return model


def bits(name: str, model: Path, genome: Path, contig: str) -> float:
    """Return the bits per base of the scored windows of a contig."""
    start, end = SCORED[contig]
    regions = model.parent / f"{contig}.bed"
    regions.write_text(f"{contig}\t{start}\t{end}\n", encoding="utf-8")
    printed = megabase(
        "evaluate", "perplexity", "--model", model, "--genome", genome, "--regions", regions,
        "--context-length", LENGTH, "--json", "--quiet",
        mixers=name if name in MIXERS else None,
    )  # fmt: skip
    report = json.loads(printed)
    return report["model"]["bits_per_base"]


def main(
    genomes: Annotated[Path, typer.Option(help="Folder with yeast/sacCer3.fa.gz.")],
    output: Annotated[Path, typer.Option(help="Folder for all runs.")],
    variants: Annotated[
        str, typer.Option(help="Names, separated by semicolons.")
    ] = "published;ours",
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0,1,2",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Key of all runs, such as steps=100.")
    ] = None,
) -> None:
    """Train and score each variant from each seed, and print a table."""
    names = chosen(variants, VARIANTS)
    output.mkdir(parents=True, exist_ok=True)
    genome = genomes / "yeast" / "sacCer3.fa.gz"
    print(f"{machine()}; {versions()}; SHA-256 of the file {file_sha256(genome)}")
    print(f"{'filter':<28}{'seeds':>6}{'chrXV':>9}{'chrIV':>9}{'sd':>9}")
    for name in names:
        found: dict[str, list[float]] = {contig: [] for contig in SCORED}
        for seed in map(int, seeds.split(",")):
            model = trained(name, seed, genome, output, settings or [])
            for contig, values in found.items():
                values.append(bits(name, model, genome, contig))
        n = len(found["chrIV"])
        spread = f"{statistics.stdev(found['chrIV']):9.4f}" if n > 1 else f"{'':>9}"
        means = "".join(f"{statistics.fmean(values):9.4f}" for values in found.values())
        print(f"{name:<28}{n:>6}{means}{spread}", flush=True)


if __name__ == "__main__":
    typer.run(main)
