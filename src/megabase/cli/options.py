"""Options that several verbs share, and those of all verbs that compute with a model."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from megabase.model.files import DEFAULT_MODEL

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
Index = Annotated[
    Path | None,
    typer.Option(
        "--index",
        help="For a model with a memory: file of `megabase index` with which the memory begins.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Device = Annotated[str, typer.Option("--device", help="Device: auto, cpu, cuda, cuda:N or mps.")]
TrainingDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Device: cpu or auto, a GPU if there is one (CUDA_VISIBLE_DEVICES selects it).",
    ),
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
        "--substitute-split", help="If a split is missing, use rows of another split in its place."
    ),
]
_FORMER = {"stand-in": "substitute-split"}


def _present(name: str) -> str:
    return _FORMER.get(name, name)


FORMER_NAMES = {"token_normalize_func": _present}
"""The `context_settings` of a verb that accepts a former name of an option."""

Offline = Annotated[
    bool, typer.Option("--offline", help="Use only data that was already downloaded from the hub.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also show technical details, such as the backend.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _run_options(
    *,
    shard: Annotated[
        str,
        typer.Option(
            help="i/n: compute the i-th of n parts of the input; megabase merge joins them."
        ),
    ] = "1/1",
    device: Device = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help="Matrix products in float32 or bfloat16 (faster on some CPUs, less exact)."
        ),
    ] = "float32",
    max_memory: Annotated[
        float | None,
        typer.Option(min=0.0, help="Memory limit of the process in GiB (CPU only); default: none."),
    ] = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum tokens per batch; default: 8,192 on a CPU, 131,072 on a GPU."
        ),
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Compute one sequence or window at a time: identical bytes however the input is "
            "sharded.",
        ),
    ] = False,
    index: Index = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> dict[str, Any]:
    """Start logging, and return the other options as arguments of `pipeline.RunOptions`."""
    from megabase.pipelines.pipeline import Shard
    from megabase.runtime.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    return {
        "shard": Shard.from_text(shard), "device": device, "precision": precision,
        "max_memory_gib": max_memory, "batch_tokens": batch_tokens,
        "deterministic": deterministic, "index": index, "overwrite": overwrite,
    }  # fmt: skip


def with_run_options(
    verb: Callable[..., None], *, without: str | None = None
) -> Callable[..., None]:
    """Return a verb with the options of `_run_options`, which it gets as `pipeline.RunOptions`.

    Parameters
    ----------
    verb
        A verb with a parameter `options`, which is not an option of the command.
    without
        An option that the verb does not have; it keeps its default.
    """
    every_option = inspect.signature(_run_options).parameters
    shared = {name: option for name, option in every_option.items() if name != without}
    own = inspect.signature(verb).parameters

    @wraps(verb)
    def run(**given: Any) -> None:
        from megabase.pipelines.pipeline import RunOptions

        options = RunOptions(**_run_options(**{name: given.pop(name) for name in shared}))
        verb(**given, options=options)

    every = [each for each in own.values() if each.name != "options"] + [*shared.values()]
    keyword = inspect.Parameter.KEYWORD_ONLY
    del run.__wrapped__  # this signature is the one to read
    run.__signature__ = inspect.Signature([each.replace(kind=keyword) for each in every])  # pyright: ignore[reportAttributeAccessIssue]
    run.__annotations__ = {each.name: each.annotation for each in every}
    return run
