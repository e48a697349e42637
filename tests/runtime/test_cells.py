"""Cells are computed once and saved whole, whatever interrupts the run; the folder is whole."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.runtime.artifacts import exclusive_lock
from megabase.runtime.cells import Cell, Cells, Runner, json_cells, load_json, save_json
from megabase.runtime.log import Meter

REQUEST = {"command": "toy", "n": 3}


def save(found, path):
    np.save(f"{path}.npy", np.full((2, 1), ord(found["name"]), dtype=float))
    save_json(found, path)


def load(path):
    return dict(load_json(path)) | {"answers": np.load(f"{path}.npy").tolist()}


def cells_in(folder):
    """Return cells that are saved as JSON with an array next to it, as those of a card."""
    return Cells(folder, save, load, suffix=".json", companions=[".npy"])


class Work:
    """Cells whose results are their names; those of `broken` are interrupted."""

    def __init__(self, folder, names="abc", broken=""):
        self.folder, self.names, self.broken, self.seen = folder, names, broken, []

    def of(self, name):
        def compute():
            self.seen.append(name)
            (self.folder / f"{name}.checkpoints").mkdir(parents=True, exist_ok=True)
            if name in self.broken:
                raise KeyboardInterrupt
            return {"name": name}

        return Cell(name, compute, size=10)

    def run(self, meter=None):
        found = cells_in(self.folder).compute([*map(self.of, self.names)], meter)
        assert [each["answers"] for each in found] == [[[ord(name)]] * 2 for name in self.names]
        return [each["name"] for each in found]


@pytest.fixture
def interrupted(tmp_path):
    """Return the folder of a run that was interrupted in its second cell."""
    folder = tmp_path / "parts"
    work = Work(folder, broken="b")
    with pytest.raises(KeyboardInterrupt):
        work.run()
    assert work.seen == ["a", "b"]
    return folder


def test_a_saved_cell_is_not_computed_again_and_progress_skips_it(interrupted, caplog):
    caplog.set_level("INFO", logger="megabase")
    meter, work = Meter(30, "units", None), Work(interrupted)
    assert work.run(meter) == ["a", "b", "c"]
    assert work.seen == ["b", "c"]
    assert meter._skipped == 10
    assert "1 of 3 parts are done" in caplog.text
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
def test_an_unreadable_cell_is_computed_again_and_logged(interrupted, file, content, caplog):
    (interrupted / file).unlink()
    if content is not None:
        (interrupted / file).write_bytes(content)
    work = Work(interrupted)
    assert work.run() == ["a", "b", "c"]
    assert work.seen == ["a", "b", "c"]
    (line,) = [each for each in caplog.messages if "cannot be read" in each]
    assert line.startswith(f"{interrupted / 'a.json'} cannot be read (")
    assert line.endswith("it is computed again")


def never():
    raise AssertionError("this was done already")


def test_what_earlier_versions_saved_is_read(tmp_path):
    (tmp_path / "k-mers-8-0.json").write_text('{"system": "k-mers", "metrics": {"mcc": null}}')
    np.save(tmp_path / "k-mers-8-0.json.npy", np.eye(2))
    record = cells_in(tmp_path).one(Cell("k-mers-8-0", never))
    expected = {"system": "k-mers", "metrics": {"mcc": None}}
    assert record == {**expected, "answers": np.eye(2).tolist()}
    assert json_cells(tmp_path, dict).one(Cell("k-mers-8-0", never)) == expected


def save_folder(found, folder):
    (folder / "inside").mkdir()
    for name, text in found.items():
        (folder / "inside" / name).write_text(text)
        if text == "no":
            raise KeyboardInterrupt


def load_folder(folder):
    return {path.name: path.read_text() for path in sorted((folder / "inside").iterdir())}


def folders_in(folder):
    return Cells(folder, save_folder, load_folder, is_folder=True)


def test_a_folder_is_saved_whole_or_not_at_all(tmp_path, caplog):
    caplog.set_level("INFO", logger="megabase")
    cells = folders_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cells.one(Cell("7", lambda: {"a": "yes", "b": "no"}))
    assert not list(tmp_path.iterdir())
    left = [tmp_path / f".{name}.0123456789ab.part" for name in ("7", "77")]
    for part in left:
        part.mkdir()
        (part / "a").touch()
    whole = {"a": "yes", "b": "yes"}
    assert cells.one(Cell("7", lambda: whole, title="seed 7")) == whole
    assert [part.exists() for part in left] == [False, True]
    assert "seed 7" not in caplog.text
    assert cells.one(Cell("7", never, title="seed 7")) == whole
    assert caplog.messages == ["seed 7 is already finished"]


def test_a_folder_that_cannot_be_read_is_replaced(tmp_path, caplog):
    cells, cell = folders_in(tmp_path), Cell("7", lambda: {"a": "new"})
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "old").touch()
    assert cells.one(cell) == {"a": "new"}
    assert f"{tmp_path / '7'} cannot be read (" in caplog.text
    assert [path.name for path in cells.path("7").iterdir()] == ["inside"]


KILLED = """
import os, signal, sys
from pathlib import Path
from megabase.runtime.cells import Cell, Runner
from tests.runtime import test_cells

output, kill_at = Path(sys.argv[1]), sys.argv[2]
run = Runner(output, test_cells.REQUEST, report="report.json", work="parts")


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


class Work(test_cells.Work):
    def of(self, name):
        cell = super().of(name)
        return Cell(name, die, cell.size) if name == kill_at else cell


if kill_at == "saving":
    test_cells.save_json = die
if kill_at == "finish":
    Runner._remove_work = die
with run.running(), run.finishing({"names": Work(run.work).run()}):
    pass
"""


def killed(output, at):
    """Run all cells in another process, which is killed."""
    command = [sys.executable, "-c", KILLED, str(output), at]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a signal of POSIX")
@pytest.mark.parametrize(("at", "left"), [("saving", "abc"), ("b", "bc"), ("finish", "")])
def test_a_killed_run_resumes_after_its_saved_cells(tmp_path, at, left):
    output = tmp_path / "out"
    killed(output, at)
    whole = tmp_path / "whole"
    finish(runner(whole))
    assert (output / "report.json").exists() == (at == "finish")
    again = runner(output)
    assert again.is_finished == (at == "finish")
    if not again.is_finished:
        assert finish(again) == [*left]
    assert contents(output) == contents(whole)


def contents(folder):
    """Return the files of a folder with their bytes, but for its record, which has the time."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix == ".json"]
    return {path.relative_to(folder): path.name == "megabase.json" or path.read_bytes()
            for path in files}  # fmt: skip


def test_a_second_process_is_refused_while_the_first_computes(tmp_path):
    output = tmp_path / "out"
    first = runner(output)
    with first.running():
        second = [sys.executable, "-c", KILLED, str(output), ""]
        done = subprocess.run(
            second, cwd=Path(__file__).parents[2], check=False, capture_output=True, text=True
        )
        assert f"InputError: another process is writing {output}" in done.stderr
        assert Work(first.work).run() == ["a", "b", "c"]
    assert not (output / "report.json").exists()
    assert finish(runner(output)) == []


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
        Work(again.work, broken="c").run()
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
