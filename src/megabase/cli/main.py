"""The command: its verbs, and what it makes of errors. Imports neither torch nor transformers."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer

from megabase.cli import (
    card,
    convert,
    doctor,
    embed,
    evaluate,
    finetune,
    generate,
    info,
    mutagenesis,
    predict,
    pretrain,
    score,
    score_vcf,
    tracks,
)
from megabase.errors import InputError, WorkError
from megabase.run.interruption import Interrupted

app = typer.Typer(
    name="megabase",
    help="Train, adapt and query DNA language models that read up to a million nucleotides.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    pretrain, finetune, predict, evaluate, card, score, score_vcf, mutagenesis, embed, tracks,
    generate, info, convert, doctor,
):  # fmt: skip
    verb.add_to(app)


_OUT_OF_MEMORY = ("out of memory", "not enough memory")  # as torch says it


def main() -> None:
    """Run the command."""
    with plain_errors():
        app()


@contextmanager
def plain_errors() -> Generator[None]:
    """Print an error that is no bug as one line.

    The exit code is 2 of misuse, 1 of failure, and 128 + number of a signal that stopped the work.
    """
    try:
        yield
    except InputError as error:
        _stop(str(error), code=2)
    except WorkError as error:
        _stop(str(error), code=1)
    except Interrupted as stop:
        _stop(str(stop), code=stop.exit_code)
    except MemoryError:
        _stop("out of memory; ask for shorter sequences or a smaller model", code=1)
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        _stop(f"{error.strerror or error}{place}", code=1)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _OUT_OF_MEMORY):
            raise
        _stop(f"out of memory ({str(error).splitlines()[0]})", code=1)


def _stop(message: str, *, code: int) -> None:
    sys.stderr.write(f"megabase: error: {' '.join(message.split())}\n")
    sys.exit(code)
