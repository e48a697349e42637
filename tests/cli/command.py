"""Run the command in this process, as a shell would."""

import sys
from typing import NamedTuple
from unittest import mock

import pytest

from megabase.cli.main import main


class Answer(NamedTuple):
    """What a run of the command left."""

    code: int
    out: str
    err: str


def run(capsys, *arguments):
    """Run ``megabase arguments...`` and give its exit code and output."""
    capsys.readouterr()
    with (
        mock.patch.object(sys, "argv", ["megabase", *map(str, arguments)]),
        pytest.raises(SystemExit) as exit_,
    ):
        main()
    return Answer(int(exit_.value.code or 0), *capsys.readouterr())
