"""The evidence of context is written by one process."""

import pytest

from megabase.errors import InputError
from megabase.evaluation.context import report_context
from megabase.model.load import save
from megabase.runtime.artifacts import exclusive_lock
from tests import toys


def test_two_processes_do_not_write_one_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEGABASE_CACHE", str(tmp_path / "cache"))
    save(toys.model(), tmp_path / "model")
    genome = toys.write_fasta(tmp_path / "g.fa", {"chrI": toys.letters(1000)})
    (tmp_path / "r.bed").write_text("chrI\t0\t500\n")
    with (
        exclusive_lock(tmp_path / "out"),
        pytest.raises(InputError, match="another process is writing"),
    ):
        report_context(
            str(tmp_path / "model"), str(genome), tmp_path / "out", regions=tmp_path / "r.bed"
        )
