"""Package a pretrained model as the one that ships with megabase, and write its card.

    megabase pretrain --config configs/default.yaml --output model
    megabase evaluate perplexity --model model --output perplexity.json
    megabase evaluate context --model model --genome GENOME --gain-only --output context/NAME
    python scripts/default_model.py model --perplexity perplexity.json --context context/*

A folder of context evidence has the genome's name in the training. Every figure of the card is
of these files; the files are refused if they are of other weights than the model's.
"""

import argparse
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from megabase.evaluation.context_report import JSON
from megabase.genome.interval import Interval
from megabase.model.config import HyenaDNAConfig
from megabase.model.cost import n_parameters
from megabase.model.load import load
from megabase.model.weights import weights_sha256
from megabase.report.table import Table
from megabase.run.output import RECORD, record_of

CARD = "README.md"
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

It is there so that `score`, `score-vcf`, `embed`, `generate` and `tracks` work offline at once, and
as a start for fine-tuning. It is small and was trained for hours, not for weeks: most of what it
knows lies in the nearest thousand bases, and where a Markov model of one genome is better, the
table above says so. Other organisms than these eight were not measured. A likelihood ratio of
this model is no evidence that a variant is pathogenic, and nothing of it is for clinical
decisions. Of human it has seen a part of one chromosome, on GRCh37. Benchmarks whose rows lie on
that chromosome are of sequence that it was pretrained on, without labels.
"""


def main() -> None:
    """Check, copy, and write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--perplexity", type=Path, required=True)
    parser.add_argument("--context", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--output", type=Path, default=Path(str(files("megabase") / "assets" / "default"))
    )
    arguments = parser.parse_args()
    package(arguments.model, arguments.perplexity, arguments.context, arguments.output)


def package(model: Path, perplexity: Path, context: Sequence[Path], output: Path) -> None:
    """Copy the files of a model to `output`, with the card that its reports make."""
    measured = json.loads(perplexity.read_text(encoding="utf-8"))["genomes"]
    contexts = {
        folder.name: json.loads((folder / JSON).read_text(encoding="utf-8")) for folder in context
    }
    record = record_of(str(model))
    if record is None or not record["finished"]:
        raise SystemExit(f"{model} is no folder of a finished `megabase pretrain`")
    paths = [genome["path"] for genome in record["results"]["genomes"].values()]
    if any(Path(word).is_absolute() for word in [*paths, *record["command"].split()]):
        raise SystemExit("the record tells of places on this machine; train with relative paths")
    loaded = load(str(model)).model
    sha256 = weights_sha256(loaded)
    for name, report in [*measured.items(), *contexts.items()]:
        if report["weights_sha256"] != sha256:
            raise SystemExit(f"the report on {name} is of other weights than {model}")
    kept = [name for name in record["files"] if name != "metrics.jsonl"]
    if sum((model / name).stat().st_size for name in kept) > MOST_BYTES:
        raise SystemExit(f"{model} takes more than {MOST_BYTES:,} bytes")
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
megabase and is what is meant where no model is named.

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
    head = ("genome", "source", "bases to learn from", "tokens expected", "held out")
    table = Table(head, rows).to_markdown()
    return f"""## Genomes

Windows are drawn by weight, so that tokens of a genome are what is expected of the draws. The
sha256 of every genome, and its parts to the base, stand in `{RECORD}` beside the weights.

{table}"""


def _held_out(measured: Mapping[str, Mapping[str, Any]]) -> str:
    keys = ("model", "markov", "gain", "pooled", "pooled_gain")
    rows = [
        (name, f"{report['n_bases']:,}", *(_cell(report[key]) for key in keys))
        for name, report in measured.items()
    ]
    head = ("genome", "bases", "this model", "Markov, of this genome", "that - model",
            "Markov, of all genomes", "that - model")  # fmt: skip
    return f"""## Held-out bits per base

All of what was held out, by `megabase evaluate perplexity`; beside it interpolated Markov models,
fitted on all that the model was allowed to learn from, of the same genome and of all eight.
Brackets are 95 % bootstraps over windows; of fewer than ten there are none.

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
            "what the rest is worth")  # fmt: skip
    return f"""## Does context help?

The same held-out bases after the whole context and after the nearest part of it, in bits per base:
`megabase evaluate context`. Above 0 the rest of the context helps; below, it harms.

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
    return f"""## Curve

Bits per base on windows for validation, which are neither learnt from nor part of the test.

{Table(head, rows).to_markdown()}"""


def _validations(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in lines if "validation_loss" in line]


def _fingerprint(sha256: str, answer: Mapping[str, float]) -> str:
    return f"""## Fingerprint

sha256 of the weights {sha256}; log-likelihood of the fixed sequence
{answer["log_likelihood"]:.6f} nats, which is checked whenever it is loaded.
"""


def _cell(found: Mapping[str, Any], *, digits: int = 4) -> str:
    ends = [f"{end:.{digits}f}" for end in found["interval"] or ()]
    return f"{found['bits_per_base']:.{digits}f}" + (f" [{', '.join(ends)}]" if ends else "")


def _bases(places: Sequence[Sequence[Any]]) -> int:
    return sum(len(Interval(*place)) for place in places)


def _places(places: Sequence[Sequence[Any]]) -> str:
    """Write intervals in one line; many are a number and the bases of all."""
    shown = [str(Interval(*place)) for place in places]
    if len(shown) == 1:
        return shown[0]
    return f"{shown[0]} and {len(shown) - 1} more, {_bases(places):,} bases"


if __name__ == "__main__":
    main()
