"""Measure what more context is worth to the published filter and to ours, trained alike.

python experiments/context.py --genomes FOLDER --output DIR [--runs "published;ours"]
    [--figure context.png]

FOLDER holds yeast/sacCer3.fa.gz, worm/celegans_ce2_chrX.fa.gz and human/chr20_grch37.fa.gz. Each
run is one `megabase pretrain` (2 x 128) on windows of the three genomes, from 1,024 tokens to the
whole context by length warm-up. `megabase evaluate context --gain-only` then scores the same
held-out bases after more and more context, on the validation split (by which runs may be chosen) or
on the test split; repeated segments of yeast measure recall. For each genome and context it prints
bits per base and the paired difference from the next shorter context, and the difference of the
whole context from 1,024 bases of it, with 95 % intervals. A difference above 0 is a gain. Finished
runs are not repeated.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from filters import SQUARES
from verbs import chosen, file_name, megabase, sets

from megabase.io.derived_files import file_sha256
from megabase.report.figures import new_figure
from megabase.runtime.environment import machine, versions

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    # name: (preset, keys of the run)
    "published": ("hyenadna-2x128", {}),
    "ours": ("tiny", {}),
    "ours, no length warm-up": ("tiny", {"start_length": "null"}),
    "squares": ("tiny", {"architecture": json.dumps(SQUARES)}),
    "ours, amplitude 4": ("tiny", {"architecture": json.dumps({"filter_amplitude": 4.0})}),
}
GENOMES: dict[str, tuple[str, dict[str, Any]]] = {
    # name: (file, held-out splits)
    "yeast": (
        "yeast/sacCer3.fa.gz", {"test_contigs": ["chrIV"], "validation_contigs": ["chrXV"]}
    ),
    "worm": (
        "worm/celegans_ce2_chrX.fa.gz", {"test_fraction": 0.1, "validation_fraction": 0.1}
    ),
    "human": (
        "human/chr20_grch37.fa.gz",
        {
            "test_regions": ["20:45,000,001-63,025,520"],
            "validation_regions": ["20:40,000,001-45,000,000"],
        },
    ),
}  # fmt: skip
WEIGHTS = {"human": 2.0}  # share of windows per step, relative to the other genomes
RECALLED = "yeast"
SHORTEST = 1024  # tokens of the first stage of training

Lines = list[dict[str, Any]]


def trained(name: str, folder: Path, output: Path, settings: dict[str, Any]) -> Path:
    """Train the model of a run, unless it is there, and return its folder."""
    genomes = {
        genome: {"path": str(folder / file), "split": split, "weight": WEIGHTS.get(genome, 1.0)}
        for genome, (file, split) in GENOMES.items()
    }
    preset, changes = RUNS[name]
    given = {"genomes": json.dumps(genomes), **settings, **changes}
    model = output / file_name(name)
    megabase("pretrain", "--preset", preset, "--output", model, *sets(given))
    return model


def probed(
    model: Path, genome: Path, name: str, part: str, windows: int, *options: str
) -> dict[str, Any]:
    """Return the report of `evaluate context` for a model on a held-out split of a genome."""
    record = json.loads((model / "megabase.json").read_text(encoding="utf-8"))
    folder = model.parent / "-".join([model.name, name, part, *options])
    regions = folder.with_suffix(".bed")
    places = record["results"]["genomes"][name]["split"][part]
    regions.write_text(
        "".join("\t".join(map(str, place)) + "\n" for place in places), encoding="utf-8"
    )
    megabase(
        "evaluate", "context", "--model", model, "--genome", genome, "--output", folder,
        "--regions", regions, "--windows", windows, *options,
    )  # fmt: skip
    return json.loads((folder / "context.json").read_text(encoding="utf-8"))


def gained(report: dict[str, Any]) -> Lines:
    """Return a row per context: its bits, and the difference from the next shorter context."""
    steps = {each["distance"]: each["difference"] for each in report["doubled"]}
    return [each | {"step": steps.get(each["distance"])} for each in report["gain"]]


def total(report: dict[str, Any]) -> dict[str, Any]:
    """Return the gain of the whole context over the shortest trained length."""
    (found,) = (each for each in report["whole"] if each["distance"] == SHORTEST)
    return found["difference"]


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw bits against context, with a panel per genome and a line per run."""
    figure = new_figure(len(GENOMES))
    for axes, genome in zip(figure.axes, GENOMES, strict=True):
        for name, by_genome in found.items():
            lines = [line for line in by_genome[genome]["gain"] if line["distance"] >= SHORTEST]
            at = [line["distance"] for line in lines]
            axes.plot(at, [line["bits"]["bits_per_base"] for line in lines], "o-", label=name)
        axes.set_xscale("log", base=2)
        axes.set(xlabel="bases of context", ylabel="bits per base", title=genome)
        axes.legend()
    figure.savefig(path, dpi=120)


def main(
    genomes: Annotated[Path, typer.Option(help="Folder of the genomes.")],
    output: Annotated[Path, typer.Option(help="Folder for all runs.")],
    runs: Annotated[str, typer.Option(help="Names, separated by semicolons.")] = "published;ours",
    context: Annotated[int, typer.Option(help="Longest trained context in tokens.")] = 32_768,
    steps: Annotated[
        int, typer.Option(help="Steps of 32,768 tokens, or of one longer window.")
    ] = 600,
    part: Annotated[str, typer.Option(help="Split that is scored: test or validation.")] = "test",
    windows: Annotated[int, typer.Option(min=10, help="Scored windows of each genome.")] = 256,
    recall_windows: Annotated[
        int, typer.Option(min=10, help="Windows of yeast with repeats.")
    ] = 10,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Key of all runs, such as precision=bfloat16.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="PNG file to draw.")] = None,
) -> None:
    """Train a model for each run and print the gain of each step of context."""
    names, (part,) = chosen(runs, RUNS), chosen(part, ("test", "validation"))
    output.mkdir(parents=True, exist_ok=True)
    print(f"{machine()}; {versions()}")
    for genome, (file, _) in GENOMES.items():
        print(f"{genome}: SHA-256 of the file {file_sha256(genomes / file)}")
    keys: dict[str, Any] = {
        "context_length": context, "start_length": SHORTEST, "steps": steps,
        "tokens_per_step": max(32_768, context), "log_every": 20,
        **dict(text.split("=", 1) for text in settings or []),
    }  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        model = trained(name, genomes, output, keys)
        found[name] = {
            genome: probed(model, genomes / file, genome, part, windows, "--gain-only")
            for genome, (file, _) in GENOMES.items()
        }
        for genome, report in found[name].items():
            for line in gained(report):
                print(f"{name:<32}{genome:<8}{line['distance']:>7,}{_gain(line)}")
            print(f"{name:<32}{genome:<8}{'total':>7}{'':>9}{_text(total(report))}", flush=True)
        yeast = genomes / GENOMES[RECALLED][0]
        for line in probed(model, yeast, RECALLED, part, recall_windows)["recall"]:
            gain = _text(line["difference"])
            print(f"{name:<32}{'recall':<8}{line['distance']:>7,}{gain}", flush=True)
    if figure is not None:
        draw(found, figure)


def _gain(line: dict[str, Any]) -> str:
    bits = f"{line['bits']['bits_per_base']:9.4f}"
    return bits if line["step"] is None else bits + _text(line["step"])


def _text(difference: dict[str, Any]) -> str:
    interval = difference["interval"]
    ends = "" if interval is None else f" [{interval[0]:+.6f}, {interval[1]:+.6f}]"
    return f"{difference['bits_per_base']:+11.6f}{ends}"


if __name__ == "__main__":
    typer.run(main)
