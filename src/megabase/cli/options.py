"""The options that verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from megabase.run.location import DEFAULT_MODEL

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        default_factory=lambda: DEFAULT_MODEL,
        show_default=DEFAULT_MODEL,
        help="Model folder, released folder or .ckpt, or hub id.",
    ),
]
Genome = Annotated[str, typer.Option("--genome", "-g", help="FASTA or 2bit file, or asset:ecoli.")]
OutputFile = Annotated[Path, typer.Option("--output", "-o", help="File to write.")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
Regions = Annotated[
    Path | None,
    typer.Option(help="BED file; without it, what the model's training held out."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
MaxMemory = Annotated[
    float | None,
    typer.Option("--max-memory", min=0.0, help="GiB that the process may take, on a CPU."),
]
Precision = Annotated[
    str,
    typer.Option(help="float32, or bfloat16 matrix products: faster on some CPUs, not the same."),
]
Strand = Annotated[
    str, typer.Option(help="average, of what is computed on either strand; or forward.")
]
SequenceColumn = Annotated[
    str | None, typer.Option(help="Name of the column of sequences; default: sequence.")
]
LabelColumn = Annotated[
    str | None, typer.Option(help="Name of the column of labels; default: label.")
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        help="What separates columns of a text table: a character, or comma, tab or semicolon; "
        "default: as its first line tells."
    ),
]
Crop = Annotated[
    str | None,
    typer.Option(help="Cut sequences longer than the context: centre, left or random."),
]
VariantWindow = Annotated[
    int | None,
    typer.Option(
        "--window",
        help="Bases of a window around a variant; default: 1,024, or the context if that is less.",
    ),
]
WindowOfContext = Annotated[
    int | None,
    typer.Option("--context-length", help="Bases of a window; default: all that the model reads."),
]
Shard = Annotated[str, typer.Option(help="i/n: of every n records the i-th.")]
ChromMap = Annotated[
    Path | None,
    typer.Option(help="Two columns: a contig's name in the VCF file, and in the genome."),
]
Epochs = Annotated[int | None, typer.Option(help="The most, 10 unless said.")]
Seeds = Annotated[int | None, typer.Option(help="How many, 3 unless said.")]
FirstSeed = Annotated[int | None, typer.Option(help="The first; also of splits.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file of the configuration.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of the configuration."),
]
TaskData = Annotated[
    Path | None, typer.Option("--data", "-d", help="Folder of the data; default: the hub.")
]
WindowLength = Annotated[
    int | None, typer.Option("--length", min=2, help="Of windows that are cut, bp.")
]
WindowsOfClass = Annotated[
    int | None, typer.Option("--windows", min=1, help="Of each class, where they are drawn.")
]
StandIn = Annotated[
    bool, typer.Option("--stand-in", help="Other rows stand in for a split that is missing.")
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Read only what was fetched from the hub before.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
