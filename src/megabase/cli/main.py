"""The command `megabase`: its verbs and its error messages, without torch and transformers."""

import io
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import metadata
from typing import Annotated, NoReturn, cast

import typer

from megabase.cli.evaluation import add_card, add_evaluate
from megabase.cli.models import add_convert, add_doctor, add_index, add_info, add_merge
from megabase.cli.queries import (
    add_embed,
    add_generate,
    add_mutagenesis,
    add_score,
    add_score_vcf,
    add_tracks,
)
from megabase.cli.training import add_finetune, add_predict, add_pretrain
from megabase.errors import InputError, WorkError
from megabase.runtime.interruption import Interrupted

app = typer.Typer(
    name="megabase",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for add in (
    add_pretrain, add_finetune, add_predict, add_evaluate, add_card, add_score, add_score_vcf,
    add_mutagenesis, add_embed, add_tracks, add_merge, add_generate, add_index, add_info,
    add_convert, add_doctor,
):  # fmt: skip
    add(app)


def _print_version(is_wanted: bool) -> bool:
    if is_wanted:
        typer.echo(f"megabase {metadata.version('megabase')}")
        raise typer.Exit
    return is_wanted


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Train, adapt and query DNA language models that read up to a million nucleotides."""


_LONGEST_LINE = 1000  # characters; an error may quote a long text of a file
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # how Python holds bytes of a path that are not UTF-8
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])  # typer does not export it
_OUT_OF_MEMORY = ("out of memory", "not enough memory")  # in RuntimeErrors of torch


def main() -> None:
    """Run the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # letters that its encoding lacks
    with plain_errors():
        try:
            code = app(prog_name="megabase", standalone_mode=False)
        except _UsageError as error:
            _refuse_usage(error)
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def plain_errors() -> Generator[None]:
    """Print an expected error as one line and exit; let a bug raise its traceback.

    The exit code is 2 for misuse, 1 for a failure, and 128 + the number of the signal for an
    interruption.
    """
    try:
        yield
    except (InputError, WorkError, Interrupted) as error:
        _stop(str(error), code=_exit_code(error))
    except UnicodeEncodeError as error:
        if not _NO_UTF8.search(text := str(error.object)):
            raise
        _stop(f"{text}: this path is not UTF-8, which a library needs; rename it, or give a "
              "relative path from within that folder", code=2)  # fmt: skip
    except MemoryError:
        _stop("out of memory; use shorter sequences or a smaller model", code=1)
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        _stop(f"{error.strerror or error}{place}", code=1)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _OUT_OF_MEMORY):
            raise
        _stop(f"out of memory ({str(error).splitlines()[0]})", code=1)


def _refuse_usage(error: Exception) -> NoReturn:
    """Print an error in the options as one line, or the help text if no verb is given."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # pyright: ignore[reportAttributeAccessIssue]
        sys.exit(2)
    context = getattr(error, "ctx", None)
    verb = context.command_path if context else "megabase"
    message: str = error.format_message()  # pyright: ignore[reportAttributeAccessIssue]
    _stop(f"{message.removesuffix('.')}; {verb} --help lists the options", code=2)


def _exit_code(error: InputError | WorkError | Interrupted) -> int:
    if isinstance(error, Interrupted):
        return error.exit_code
    return 2 if isinstance(error, InputError) else 1


def _stop(message: str, *, code: int) -> NoReturn:
    """Print an error as one line of bounded length, with control characters escaped, and exit."""
    words = " ".join(message.split())
    line = "".join(each if each.isprintable() else repr(each)[1:-1] for each in words)
    if len(line) > _LONGEST_LINE:
        half = _LONGEST_LINE // 2
        line = f"{line[:half]} [... {len(line) - 2 * half:,} characters ...] {line[-half:]}"
    sys.stderr.write(f"megabase: error: {line}\n")
    sys.exit(code)
