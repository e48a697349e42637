"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from megabase.runtime.location import DEFAULT_MODEL

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        default_factory=lambda: DEFAULT_MODEL,
        show_default=DEFAULT_MODEL,
        help="Model: a folder, a released folder or .ckpt file, or a Hugging Face hub id.",
    ),
]
Genome = Annotated[
    str, typer.Option("--genome", "-g", help="Genome: a FASTA or 2bit file, or asset:ecoli.")
]
OutputFile = Annotated[Path, typer.Option("--output", "-o", help="File to write.")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
Regions = Annotated[
    Path | None,
    typer.Option(help="BED file; default: the regions held out when the model was trained."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Device = Annotated[str, typer.Option("--device", help="Device: auto, cpu, cuda, cuda:N or mps.")]
MaxMemory = Annotated[
    float | None,
    typer.Option("--max-memory", min=0.0, help="Memory limit of the process in GiB (CPU only)."),
]
Precision = Annotated[
    str,
    typer.Option(help="Matrix products in float32 or bfloat16 (faster on some CPUs, less exact)."),
]
SequenceColumn = Annotated[
    str | None, typer.Option(help="Column that holds the sequences; default: sequence.")
]
LabelColumn = Annotated[
    str | None, typer.Option(help="Column that holds the labels; default: label.")
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        help="Column separator of a text table: a character, or comma, tab or semicolon; "
        "default: detected from the first line."
    ),
]
Strand = Annotated[
    str, typer.Option(help="Strands to read: average (the mean of both) or forward.")
]
Crop = Annotated[
    str | None,
    typer.Option(help="Crop sequences longer than the context: centre, left or random."),
]
VariantWindow = Annotated[
    int | None,
    typer.Option(
        "--window",
        help="Window around a variant, in bp; default: 1,024, or the context if shorter.",
    ),
]
WindowOfContext = Annotated[
    int | None,
    typer.Option(
        "--context-length", help="Window length in bp; default: the context length of the model."
    ),
]
Splice = Annotated[
    bool,
    typer.Option(
        "--splice",
        help="Join the blocks of BED12 lines, or the exons of each transcript in GTF or GFF3.",
    ),
]
Shard = Annotated[
    str, typer.Option(help="i/n: every n-th record, starting at the i-th; merge joins them.")
]
ChromMap = Annotated[
    Path | None,
    typer.Option(help="Two-column file: name of a contig in the VCF file, name in the genome."),
]
Epochs = Annotated[int | None, typer.Option(help="Maximum number of epochs; default: 10.")]
Seeds = Annotated[int | None, typer.Option(help="Number of seeds; default: 3.")]
FirstSeed = Annotated[
    int | None, typer.Option(help="First random seed; it also determines the splits.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="YAML configuration file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a configuration key; may be repeated."),
]
TaskData = Annotated[
    Path | None,
    typer.Option(
        "--data", "-d", help="Folder with the data; default: download from the Hugging Face hub."
    ),
]
WindowLength = Annotated[
    int | None,
    typer.Option(
        "--length",
        min=2,
        help="Window length in bp, for tasks whose windows are cut from a genome.",
    ),
]
WindowsPerClass = Annotated[
    int | None,
    typer.Option(
        "--windows", min=1, help="Training windows per class, for tasks whose windows are sampled."
    ),
]
SubstituteSplit = Annotated[
    bool,
    typer.Option(
        "--stand-in", help="If a split is missing, use rows of another split in its place."
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Use only data that was already downloaded from the hub.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also show technical details, such as the backend.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
