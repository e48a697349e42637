"""Does context help: the published filter and ours, trained alike, on more and more of it.

python experiments/context.py --genomes FOLDER --output DIR [--steps 600] [--figure context.png]

FOLDER holds yeast/sacCer3.fa.gz, worm/celegans_ce2_chrX.fa.gz and human/chr20_grch37.fa.gz. Each
filter is trained by one `megabase pretrain` (2 x 128) on windows of the three genomes, from 1,024
tokens to the whole context by length warm-up, and asked by `megabase evaluate context` what the
same held-out bases cost after more and more of the bases before them. Printed are, for each
genome and each context, the bits per base and the paired difference to the next shorter context,
with its interval of 95 %. A run that is finished is not run again.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from verbs import megabase

from megabase.report.plot import new_figure
from megabase.run.provenance import machine, versions

PRESETS = {"published": "hyenadna-2x128", "ours": "tiny"}
GENOMES: dict[str, tuple[str, dict[str, Any]]] = {
    # name: (file, what is held out)
    "yeast": ("yeast/sacCer3.fa.gz", {"test_contigs": ["chrIV"]}),
    "worm": ("worm/celegans_ce2_chrX.fa.gz", {"test_fraction": 0.1}),
    "human": ("human/chr20_grch37.fa.gz", {"test_regions": ["20:45,000,001-63,025,520"]}),
}


def trained(filters: str, folder: Path, output: Path, settings: dict[str, Any]) -> Path:
    """Train a model with one of the filters."""
    genomes = {
        name: {"path": str(folder / file), "split": split}
        for name, (file, split) in GENOMES.items()
    }
    given = {"genomes": json.dumps(genomes), **settings}
    sets = [text for key, value in given.items() for text in ("--set", f"{key}={value}")]
    megabase("pretrain", "--preset", PRESETS[filters], "--output", output / filters, *sets)
    return output / filters


def probed(model: Path, genome: Path, name: str, windows: int) -> list[dict[str, Any]]:
    """Give a line for each context: its bits, and the difference to the next shorter one."""
    output = model.parent / f"{model.name}-{name}"
    megabase(
        "evaluate", "context", "--model", model, "--genome", genome, "--output", output,
        "--windows", windows,
    )  # fmt: skip
    report = json.loads((output / "context.json").read_text())
    steps = {each["distance"]: each["difference"] for each in report["doubled"]}
    return [each | {"step": steps.get(each["distance"])} for each in report["gain"]]


def draw(found: dict[str, dict[str, list[dict[str, Any]]]], path: Path) -> None:
    """Draw bits against context, a panel for each genome and a line for each filter."""
    figure = new_figure(len(GENOMES))
    for axes, name in zip(figure.axes, GENOMES, strict=True):
        for filters, by_genome in found.items():
            lines = by_genome[name]
            at = [line["distance"] for line in lines]
            axes.plot(at, [line["bits"]["bits_per_base"] for line in lines], "o-", label=filters)
        axes.set_xscale("log", base=2)
        axes.set(xlabel="bases of context", ylabel="bits per base", title=name)
        axes.legend()
    figure.savefig(path, dpi=120)


def main(
    genomes: Annotated[Path, typer.Option(help="Folder of the genomes.")],
    output: Annotated[Path, typer.Option(help="Folder of all runs.")],
    context: Annotated[int, typer.Option(help="The longest that is trained, tokens.")] = 32_768,
    steps: Annotated[int, typer.Option(help="Of 32,768 tokens each, or of one window.")] = 600,
    windows: Annotated[int, typer.Option(help="Of each genome, that are asked.")] = 64,
    figure: Annotated[Path | None, typer.Option(help="PNG file to draw.")] = None,
) -> None:
    """Train both filters, ask both, and print what each step of context is worth."""
    output.mkdir(parents=True, exist_ok=True)
    print(f"{machine()}; {versions()}")
    settings = {
        "context_length": context, "start_length": 1024, "steps": steps,
        "tokens_per_step": max(32_768, context), "log_every": 20,
    }  # fmt: skip
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for filters in PRESETS:
        model = trained(filters, genomes, output, settings)
        found[filters] = {
            name: probed(model, genomes / file, name, windows)
            for name, (file, _) in GENOMES.items()
        }
        for name, lines in found[filters].items():
            for line in lines:
                print(f"{filters:<10}{name:<7}{line['distance']:>9,}{_bits(line)}", flush=True)
    if figure is not None:
        draw(found, figure)


def _bits(line: dict[str, Any]) -> str:
    text = f"{line['bits']['bits_per_base']:9.4f}"
    if line["step"] is None:
        return text
    low, high = line["step"]["interval"]
    return f"{text}{line['step']['bits_per_base']:+9.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    typer.run(main)
