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
    typer.Option("--max-memory", min=0.0, help="Most memory of the process in GiB, on a CPU."),
]
Precision = Annotated[
    str,
    typer.Option(
        help="float32; or bfloat16 matrix products: faster on some CPUs, other last digits."
    ),
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
Strand = Annotated[str, typer.Option(help="average of both strands; or forward.")]
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
Splice = Annotated[
    bool,
    typer.Option(
        "--splice",
        help="Join the blocks of BED12, or the exons of each transcript of GTF or GFF3.",
    ),
]
Shard = Annotated[
    str, typer.Option(help="i/n: every n-th record from the i-th on; merge joins them.")
]
ChromMap = Annotated[
    Path | None,
    typer.Option(help="File of two columns: a contig's name in the VCF file, and in the genome."),
]
Epochs = Annotated[int | None, typer.Option(help="Most epochs; default: 10.")]
Seeds = Annotated[int | None, typer.Option(help="Number of seeds; default: 3.")]
FirstSeed = Annotated[int | None, typer.Option(help="First seed; it also fixes the splits.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file of the configuration.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the configuration; repeat."),
]
TaskData = Annotated[
    Path | None, typer.Option("--data", "-d", help="Folder of the data; default: the hub.")
]
WindowLength = Annotated[
    int | None, typer.Option("--length", min=2, help="Length of the windows that are cut, in bp.")
]
WindowsOfClass = Annotated[
    int | None,
    typer.Option("--windows", min=1, help="Windows of each class, where windows are drawn."),
]
StandIn = Annotated[
    bool, typer.Option("--stand-in", help="Use other rows for a split that is missing.")
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Use only what was downloaded from the hub before.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show technical details too, such as the engine.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
