"""Package a pretrained model as the shipped default model, and write its card.

    megabase pretrain --config configs/default.yaml --output model
    megabase evaluate perplexity --model model --output perplexity.json
    megabase evaluate context --model model --genome GENOME --gain-only --output context/NAME
    python scripts/default_model.py model --perplexity perplexity.json --context context/*

docs/default.md repeats the card between two markers and is rewritten with it.
A folder of context evidence is named after its genome in the training configuration. Every figure
of the card comes from these files, which are refused if they were measured with other weights.
"""

import argparse
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from megabase.evaluation.context import JSON
from megabase.genome.interval import Interval
from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import n_parameters
from megabase.model.load import load
from megabase.model.reading import weights_sha256
from megabase.report.pages import Table
from megabase.runtime.artifacts import RECORD, record_of

CARD = "README.md"
PAGE = Path(__file__).parents[1] / "docs" / "default.md"
BEGIN = "<!-- the card, by scripts/default_model.py: begin -->\n"
END = "<!-- the card, by scripts/default_model.py: end -->"
MOST_BYTES = 15_000_000
SOURCES = {
    "ecoli": "*E. coli* K-12 MG1655, GenBank U00096",
    "saureus": "*S. aureus* N315, RefSeq NC_002745.2",
    "mtuberculosis": "*M. tuberculosis* H37Rv, RefSeq NC_000962.2",
    "yeast": "*S. cerevisiae* S288C, UCSC sacCer3",
    "worm": "*C. elegans* chromosome X, UCSC ce2",
    "umaydis": "*U. maydis*, 23 chromosomes and 13 further contigs",
    "pfalciparum": "*P. falciparum*, chromosomes MAL1 to MAL14",
    "human": "human chromosome 20, GRCh37",
}
_USE = """## Intended use and limits

It lets `score`, `score-vcf`, `embed`, `generate` and `tracks` work offline without further setup,
and serves as a starting point for fine-tuning. It is small and was trained for hours, not for
weeks: most of what it uses lies in the nearest thousand bases. The table above shows where a Markov
model of one genome is better. Organisms other than these eight were not measured. A likelihood
ratio of this model is not evidence that a variant is pathogenic, and the model must not be used for
clinical decisions. Of the human genome it was trained on a part of one chromosome, on GRCh37.
Benchmarks on that chromosome contain sequence that it was pretrained on, without labels.
"""


def main() -> None:
    """Check the reports, copy the model and write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--perplexity", type=Path, required=True)
    parser.add_argument("--context", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--output", type=Path, default=Path(str(files("megabase") / "assets" / "default"))
    )
    arguments = parser.parse_args()
    package(arguments.model, arguments.perplexity, arguments.context, arguments.output)
    PAGE.write_text(page((arguments.output / CARD).read_text(encoding="utf-8")), encoding="utf-8")


def page(card: str) -> str:
    """Return docs/default.md with the text of a card, its headings one level lower."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    lines = (f"#{line}" if line.startswith("#") else line for line in card.splitlines())
    return before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1]


def package(model: Path, perplexity: Path, context: Sequence[Path], output: Path) -> None:
    """Copy the files of a model to `output` and write its card.

    Parameters
    ----------
    model
        A folder of a finished `megabase pretrain`.
    perplexity
        The JSON file of `megabase evaluate perplexity`.
    context
        Folders of `megabase evaluate context`, one for each genome.
    output
        The folder to write.

    Raises
    ------
    SystemExit
        If the model is unfinished or too large, its record has absolute paths, or a report was
        measured with other weights.
    """
    measured = json.loads(perplexity.read_text(encoding="utf-8"))["genomes"]
    contexts = {
        folder.name: json.loads((folder / JSON).read_text(encoding="utf-8")) for folder in context
    }
    record = record_of(str(model))
    if record is None or not record["finished"]:
        raise SystemExit(f"{model} is not the folder of a finished `megabase pretrain`")
    paths = [genome["path"] for genome in record["results"]["genomes"].values()]
    if any(Path(word).is_absolute() for word in [*paths, *record["command"].split()]):
        raise SystemExit("the record has absolute paths of this machine; train with relative paths")
    loaded = load(str(model)).model
    sha256 = weights_sha256(loaded)
    for name, report in [*measured.items(), *contexts.items()]:
        if report["weights_sha256"] != sha256:
            raise SystemExit(
                f"the report on {name} is of other weights than {model}; measure it again"
            )
    kept = [name for name in record["files"] if name != "metrics.jsonl"]
    if sum((model / name).stat().st_size for name in kept) > MOST_BYTES:
        raise SystemExit(f"{model} is larger than the limit of {MOST_BYTES:,} bytes")
    lines = [
        json.loads(line)
        for line in (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    output.mkdir(parents=True, exist_ok=True)
    for name in (RECORD, *kept):
        shutil.copyfile(model / name, output / name)
    parts = [
        _head(loaded.config, record, lines),
        _learned(record),
        _held_out(measured),
        _context(contexts),
        _curve(lines),
        _USE,
        _fingerprint(sha256, json.loads((model / "fingerprint.json").read_text(encoding="utf-8"))),
    ]
    (output / CARD).write_text("\n".join(parts), encoding="utf-8")


def _head(
    shape: HyenaDNAConfig, record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> str:
    config = record["request"]["config"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    chosen = ("steps", "tokens_per_step", "learning_rate", "warmup_fraction", "final_fraction",
              "weight_decay", "beta1", "beta2", "clip_norm", "reverse_complement_p", "precision",
              "seed")  # fmt: skip
    keys = ", ".join(f"{key} {config[key]}" for key in chosen)
    return f"""# The default model

`asset:default`: {n_parameters(shape):,} parameters ({shape.n_layer} blocks of {shape.d_model}
channels), a context of {shape.context_length:,} tokens, one token per nucleotide. It ships with
megabase and is used when no model is given.

`megabase pretrain --config configs/default.yaml --output model` trained it on
{record["results"]["tokens"]:,} tokens in {lines[-1]["seconds"] / 3600:.1f} hours on
{record["machine"]} ({versions}).

Configuration: {keys}.
"""


def _learned(record: Mapping[str, Any]) -> str:
    config, genomes = record["request"]["config"], record["results"]["genomes"]
    weights = {name: genome["weight"] for name, genome in config["genomes"].items()}
    tokens = record["results"]["tokens"]
    rows = [
        (
            name,
            SOURCES[name],
            f"{_bases(genome['split']['train']):,}",
            f"{tokens * weights[name] / sum(weights.values()):,.0f}",
            _places(genome["split"]["test"]),
        )
        for name, genome in genomes.items()
    ]
    head = ("genome", "source", "training bases", "expected tokens", "held out")
    table = Table(head, rows).to_markdown()
    return f"""## Genomes

Windows are drawn by weight; the expected tokens of a genome follow from its weight. The SHA-256 of
every genome, and its exact splits, are in `{RECORD}` next to the weights.

{table}"""


def _held_out(measured: Mapping[str, Mapping[str, Any]]) -> str:
    keys = ("model", "markov", "gain", "pooled", "pooled_gain")
    rows = [
        (name, f"{report['n_bases']:,}", *(_cell(report[key]) for key in keys))
        for name, report in measured.items()
    ]
    head = ("genome", "bases", "this model", "Markov, this genome", "this genome - model",
            "Markov, all genomes", "all genomes - model")  # fmt: skip
    return f"""## Held-out bits per base

All held-out bases, by `megabase evaluate perplexity`, compared with interpolated Markov models
fitted to the training and validation bases of the same genome and of all eight. Brackets are 95 %
bootstrap intervals over windows; there is none for fewer than ten windows.

{Table(head, rows).to_markdown()}"""


def _context(contexts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (
            name,
            f"{each['distance']:,}",
            f"{each['control']['bits_per_base']:.5f}",
            f"{each['bits']['bits_per_base']:.5f}",
            _cell(each["difference"], digits=5),
        )
        for name, report in contexts.items()
        for each in report["whole"][::2]
    ]
    head = ("genome", "nearest bases", "after these alone", "after the whole context",
            "gain from the rest")  # fmt: skip
    return f"""## Does context help?

The same held-out bases after the whole context and after the nearest bases of it, in bits per base,
by `megabase evaluate context`. Above 0 the rest of the context helps; below 0 it harms.

{Table(head, rows).to_markdown()}"""


def _curve(lines: Sequence[Mapping[str, Any]]) -> str:
    names = [key for key in _validations(lines)[0] if key.startswith("validation_loss_")]
    rows = [
        (
            f"{line['tokens']:,}",
            *(f"{line[key] / math.log(2):.4f}" for key in ("validation_loss", *names)),
        )
        for line in _validations(lines)
    ]
    head = ("tokens", "mean", *(name.removeprefix("validation_loss_") for name in names))
    return f"""## Validation curve

Bits per base on validation windows, which are neither trained on nor part of the test split.

{Table(head, rows).to_markdown()}"""


def _validations(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in lines if "validation_loss" in line]


def _fingerprint(sha256: str, answer: Mapping[str, float]) -> str:
    return f"""## Fingerprint

SHA-256 of the weights {sha256}; log-likelihood of the fixed sequence
{answer["log_likelihood"]:.6f} nats, which is checked whenever the model is loaded.
"""


def _cell(found: Mapping[str, Any], *, digits: int = 4) -> str:
    ends = [f"{end:.{digits}f}" for end in found["interval"] or ()]
    return f"{found['bits_per_base']:.{digits}f}" + (f" [{', '.join(ends)}]" if ends else "")


def _bases(places: Sequence[Sequence[Any]]) -> int:
    return sum(len(Interval(*place)) for place in places)


def _places(places: Sequence[Sequence[Any]]) -> str:
    """Format intervals in one line: the only one, or the first with the number and total bases."""
    shown = [str(Interval(*place)) for place in places]
    if len(shown) == 1:
        return shown[0]
    return f"{shown[0]} and {len(shown) - 1} more, {_bases(places):,} bases"


if __name__ == "__main__":
    main()
