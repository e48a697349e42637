"""Cells of an evaluation are measured once, whatever interrupts the run; the folder is whole."""

import json

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.evaluation.runner import Cell, Cells, Measured, Runner
from megabase.runtime.artifacts import exclusive_lock
from megabase.runtime.log import Meter

REQUEST = {"command": "toy", "n": 3}


class Work:
    """Cells whose results are their names; those of `broken` are interrupted."""

    def __init__(self, folder, names="abc", broken=""):
        self.folder, self.names, self.broken, self.seen = folder, names, broken, []

    def of(self, name):
        def measure():
            self.seen.append(name)
            (self.folder / f"{name}.checkpoints").mkdir(parents=True, exist_ok=True)
            if name in self.broken:
                raise KeyboardInterrupt
            return Measured({"name": name}, np.full((2, 1), ord(name), dtype=float))

        return Cell(name, measure, size=10)

    def run(self, meter=None):
        cells = Cells(self.folder, dict, has_answers=True)
        return [each["name"] for each in cells.measure([*map(self.of, self.names)], meter)]


@pytest.fixture
def interrupted(tmp_path):
    """Return the folder of a run that was interrupted in its second cell."""
    folder = tmp_path / "parts"
    work = Work(folder, broken="b")
    with pytest.raises(KeyboardInterrupt):
        work.run()
    assert work.seen == ["a", "b"]
    return folder


def test_a_saved_cell_is_not_measured_again_and_progress_skips_it(interrupted, caplog):
    caplog.set_level("INFO", logger="megabase")
    meter, work = Meter(30, "units", None), Work(interrupted)
    assert work.run(meter) == ["a", "b", "c"]
    assert work.seen == ["b", "c"]
    assert meter._skipped == 10
    assert "1 of 3 parts are done" in caplog.text
    assert Cells(interrupted, dict).answers("c").tolist() == [[ord("c")]] * 2
    again = Work(interrupted)
    assert again.run() == ["a", "b", "c"]
    assert not again.seen


def test_checkpoints_stay_until_their_cell_is_saved(interrupted):
    for other in ("b-0.001.checkpoints", "bc.checkpoints", "d-1.checkpoints"):
        (interrupted / other).mkdir()
    folders = {path.name for path in interrupted.glob("*.checkpoints")}
    assert folders == {"b.checkpoints", "b-0.001.checkpoints", "bc.checkpoints", "d-1.checkpoints"}
    Work(interrupted).run()
    folders = {path.name for path in interrupted.glob("*.checkpoints")}
    assert folders == {"bc.checkpoints", "d-1.checkpoints"}


@pytest.mark.parametrize(
    ("file", "content"),
    [("a.json", b""), ("a.json", b'{"na'), ("a.json", b"7"), ("a.json", b"\xff"),
     ("a.json.npy", b""), ("a.json.npy", b"\x93NUMPY"), ("a.json.npy", None)],
)  # fmt: skip
def test_an_unreadable_cell_is_measured_again_and_logged(interrupted, file, content, caplog):
    (interrupted / file).unlink()
    if content is not None:
        (interrupted / file).write_bytes(content)
    work = Work(interrupted)
    assert work.run() == ["a", "b", "c"]
    assert work.seen == ["a", "b", "c"]
    (line,) = [each for each in caplog.messages if "cannot be read" in each]
    assert line.startswith(f"{interrupted / 'a.json'} cannot be read (")
    assert line.endswith("it is measured again")


def test_what_earlier_versions_saved_is_read(tmp_path):
    (tmp_path / "k-mers-8-0.json").write_text('{"system": "k-mers", "metrics": {"mcc": null}}')
    np.save(tmp_path / "k-mers-8-0.json.npy", np.eye(2))

    def measure():
        raise AssertionError("this was done already")

    cells = Cells(tmp_path, dict, has_answers=True)
    (record,) = cells.measure([Cell("k-mers-8-0", measure)])
    assert record == {"system": "k-mers", "metrics": {"mcc": None}}
    assert (cells.answers("k-mers-8-0") == np.eye(2)).all()


def runner(output, request=REQUEST, **options):
    return Runner(output, request, report="report.json", work="parts", **options)


def finish(run, is_interrupted=False):
    """Run all cells in the folder, and write the report, unless that is interrupted."""
    work = Work(run.work)
    with run.running():
        found = work.run()
        with run.finishing({"names": found}) as folder:
            (folder / "page.txt").write_text("page")
            if is_interrupted:
                raise KeyboardInterrupt
    return work.seen


@pytest.mark.parametrize("keeps_work", [False, True])
def test_a_finished_folder_is_read_and_not_written(tmp_path, keeps_work):
    output = tmp_path / "out"
    assert finish(runner(output, keeps_work=keeps_work)) == ["a", "b", "c"]
    assert (output / "report.json").read_text() == json.dumps({"names": [*"abc"]}, indent=2) + "\n"
    assert (output / "parts").exists() == keeps_work
    again = runner(output, keeps_work=keeps_work)
    assert again.is_finished
    assert again.report() == {"names": [*"abc"]}
    with pytest.raises(InputError, match=r"made by another request \(n was 3, is 4\)"):
        runner(output, {"command": "toy", "n": 4})


def test_what_a_kill_at_the_very_end_left_is_removed(tmp_path):
    finish(runner(tmp_path / "out"))
    (tmp_path / "out" / "parts").mkdir()
    runner(tmp_path / "out").report()
    assert not (tmp_path / "out" / "parts").exists()


def test_an_interrupted_folder_resumes_and_another_request_is_refused(tmp_path, caplog):
    caplog.set_level("INFO", logger="megabase")
    first = runner(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), first.running():
        Work(first.work, broken="c").run()
    with pytest.raises(InputError, match="made by another request"):
        runner(tmp_path / "out", {"command": "toy", "n": 4})
    left = [first.work / ".c.json.0123456789ab.part", first.work / "c.checkpoints" / "part"]
    for file in left:
        file.touch()
    again = runner(tmp_path / "out")
    assert not again.is_finished
    with pytest.raises(KeyboardInterrupt), again.running():
        raise KeyboardInterrupt
    assert [file.exists() for file in left] == [False, True]
    assert finish(again) == ["c"]
    assert f"{tmp_path / 'out'} was interrupted: resuming after the finished work" in caplog.text


def test_work_that_is_replaced_is_removed_first(tmp_path):
    first = runner(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), first.running():
        Work(first.work, broken="c").run()
    other = runner(tmp_path / "out", {"command": "toy", "n": 4}, overwrite=True)
    assert finish(other) == ["a", "b", "c"]


def test_a_failure_while_the_report_is_written_leaves_the_cells_and_no_report(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        finish(runner(tmp_path / "out"), is_interrupted=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"megabase.json", "parts"}
    assert not finish(runner(tmp_path / "out"))


def test_a_folder_that_another_process_writes_is_refused(tmp_path):
    with exclusive_lock(tmp_path / "out"), pytest.raises(InputError, match="another process"):
        finish(runner(tmp_path / "out"))
