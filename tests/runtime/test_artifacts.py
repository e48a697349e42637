"""Outputs are whole or absent, and are not overwritten unasked."""

import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from megabase.errors import WorkError
from megabase.runtime.artifacts import (
    RECORD,
    Output,
    atomic_file,
    atomic_files,
    atomic_path,
    check_no_input,
    exclusive_lock,
    parts_folder,
    read_record,
)
from tests.full_disk import file_limit

REQUEST = {"command": "score", "model": "abc", "config": {"steps": 3}}


def output(path, request=REQUEST, *, is_folder=False, overwrite=False):
    return Output(path, request, is_folder=is_folder, overwrite=overwrite)


def write(place, text="done\n"):
    with place.write(n=1) as file:
        file.write(text)


def break_off(writing):
    with writing as place:
        if hasattr(place, "write"):
            place.write("half")
        else:
            (place / "a").write_text("half")
        raise RuntimeError


def test_the_same_request_on_a_finished_output_has_nothing_to_do(tmp_path):
    path = tmp_path / "scores.tsv"
    assert not output(path).is_finished
    write(output(path))
    assert path.read_text() == "done\n"
    assert output(path).is_finished
    assert not output(path, overwrite=True).is_finished


def test_another_request_is_refused_and_the_difference_named(tmp_path):
    write(output(tmp_path / "scores.tsv"))
    other = REQUEST | {"config": {"steps": 4}}
    with pytest.raises(
        ValueError, match=r"another request \(config.steps was 3, is 4\).*--overwrite"
    ):
        output(tmp_path / "scores.tsv", other)


def test_a_file_of_someone_else_is_refused(tmp_path):
    (tmp_path / "scores.tsv").write_text("precious")
    with pytest.raises(ValueError, match="was not made by megabase"):
        output(tmp_path / "scores.tsv")
    write(output(tmp_path / "scores.tsv", overwrite=True))
    assert (tmp_path / "scores.tsv").read_text() == "done\n"


def test_a_folder_of_someone_else_is_refused_and_an_empty_one_is_not(tmp_path):
    assert not output(tmp_path, is_folder=True).is_finished
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ValueError, match="was not made by megabase"):
        output(tmp_path, is_folder=True)


def test_a_folder_is_unfinished_until_it_is_finished(tmp_path):
    place = output(tmp_path / "model", is_folder=True)
    place.start()
    assert not output(tmp_path / "model", is_folder=True).is_finished
    place.finish(tokens=7)
    assert output(tmp_path / "model", is_folder=True).is_finished
    record = read_record(tmp_path / "model")
    assert record["results"] == {"tokens": 7}
    assert {"command", "created", "versions", "machine"} <= record.keys()


def test_what_breaks_off_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "scores.tsv"
    write(output(path))
    with pytest.raises(RuntimeError):
        break_off(output(path, overwrite=True).write())
    assert path.read_text() == "done\n"
    assert output(path).is_finished
    assert len(list(tmp_path.iterdir())) == 2  # no temporary file


def test_a_folder_of_files_moves_whole_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError):
        break_off(atomic_files(tmp_path))
    assert (tmp_path / "a").read_text() == "old"
    with atomic_files(tmp_path) as part:
        (part / "a").write_text("new")
        (part / "a").chmod(0o600)
    assert (tmp_path / "a").read_text() == "new"
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_an_invalid_record_is_read_as_missing(tmp_path):
    assert read_record(tmp_path) is None
    (tmp_path / RECORD).write_text("{")
    assert read_record(tmp_path) is None
    (tmp_path / RECORD).write_text(json.dumps({"other": 1}))
    assert read_record(tmp_path) is None
    (tmp_path / RECORD).write_text("[" * 100_000)  # nested without end
    assert read_record(tmp_path) is None


def test_a_file_is_made_with_its_folder(tmp_path):
    with atomic_file(tmp_path / "deep" / "file.txt") as file:
        file.write("x")
    assert (tmp_path / "deep" / "file.txt").read_text() == "x"


def test_a_path_of_the_wrong_kind_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file, and the output is a folder"):
        output(tmp_path / "file", is_folder=True, overwrite=True)
    with pytest.raises(ValueError, match="is a folder, and the output is a file"):
        output(tmp_path, overwrite=True)
    with pytest.raises(ValueError, match=r"file is not a folder"):
        output(tmp_path / "file" / "scores.tsv")


def test_overwriting_removes_what_the_other_request_had_written(tmp_path):
    first = output(tmp_path / "model", is_folder=True)
    first.start()
    (tmp_path / "model" / "weights").write_text("old")
    (tmp_path / "model" / "kept").mkdir()
    first.finish()
    (tmp_path / "model" / "notes").write_text("of the user")
    again = output(tmp_path / "model", {"command": "other"}, is_folder=True, overwrite=True)
    again.start()
    left = {path.name for path in (tmp_path / "model").iterdir()}
    assert left == {"kept", "notes", RECORD}


def test_a_folder_within_moves_whole_and_is_removed_with_the_rest(tmp_path):
    for request, inside in ((REQUEST, "adapter"), (REQUEST | {"seed": 1}, None)):
        place = Output(tmp_path, request, is_folder=True, overwrite=True)
        place.start()
        with atomic_files(tmp_path) as folder:
            (folder / "weights").write_text("w")
            if inside:
                (folder / inside).mkdir()
                (folder / inside / "weights").write_text("a")
        place.finish(folders=["adapter"])
        files = read_record(tmp_path)["files"]
        assert files == (["adapter/weights", "weights"] if inside else ["weights"])
    assert {path.name for path in tmp_path.iterdir()} == {"weights", RECORD}


def test_an_interrupted_request_finds_its_notes(tmp_path):
    output(tmp_path / "model", is_folder=True).start(plan=3)
    again = output(tmp_path / "model", is_folder=True)
    assert again.unfinished == {"plan": 3}
    again.finish()
    assert output(tmp_path / "model", is_folder=True).unfinished is None


@pytest.mark.parametrize(
    "content", [b'{"request": {}}', b'{"request": []}', b"\xff\xfe", b"[]", b"{"]
)
def test_a_record_of_another_program_is_an_error(tmp_path, content):
    (tmp_path / RECORD).write_bytes(content)
    assert read_record(tmp_path) is None
    with pytest.raises(ValueError, match="was not made by megabase"):
        output(tmp_path, is_folder=True)


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path):
    (tmp_path / ".dead.parts").mkdir()
    with atomic_files(tmp_path) as folder:
        (folder / "a").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_two_processes_do_not_write_one_folder(tmp_path):
    with exclusive_lock(tmp_path / "model"):
        with pytest.raises(ValueError, match="another process is writing"):
            exclusive_lock(tmp_path / "model").__enter__()
    with exclusive_lock(tmp_path / "model"):
        pass


def test_a_kill_before_the_first_record_leaves_a_place_like_an_empty_one(tmp_path):
    (tmp_path / ".megabase.json.abc.part").write_text("{")
    place = output(tmp_path, is_folder=True)
    place.start()
    place.finish()
    assert read_record(tmp_path)["files"] == []


def test_a_file_and_its_companion_take_their_names_together_or_not_at_all(tmp_path):
    path = tmp_path / "a.vcf.gz"
    for half in ("", ".tbi"):
        with pytest.raises(FileNotFoundError), output(path).write_at(".tbi") as part:
            part.with_name(part.name + half).write_text("half")
    assert not list(tmp_path.iterdir())
    with output(path).write_at(".tbi", n=1) as part:
        part.write_text("whole")
        (tmp_path / f"{part.name}.tbi").write_text("index")
    assert (path.read_text(), (tmp_path / "a.vcf.gz.tbi").read_text()) == ("whole", "index")
    assert output(path).is_finished


def test_an_input_under_another_spelling_is_still_an_input(tmp_path):
    source = tmp_path / "in.vcf"
    source.write_text("precious")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for output_path in (source, tmp_path / "sub" / ".." / "in.vcf", tmp_path / "link" / "in.vcf"):
        with pytest.raises(ValueError, match="is an input of this command"):
            check_no_input(output_path, [source])
    check_no_input(tmp_path / "out.vcf", [source, tmp_path / "none"])


def test_if_the_record_does_not_fit_the_disk_there_is_no_output(tmp_path):
    with file_limit(100), pytest.raises(WorkError, match=r"scores\.tsv could not be written: File"):
        write(output(tmp_path / "scores.tsv"))  # which has 5 bytes
    assert not list(tmp_path.iterdir())


def test_a_folder_on_a_full_disk_has_none_of_its_files(tmp_path):
    def fill():
        with atomic_files(tmp_path) as folder:
            (folder / "small").write_text("x")
            (folder / "large").write_text("x" * 101)

    with file_limit(100), pytest.raises(WorkError, match="could not be written: File too large"):
        fill()
    assert not list(tmp_path.iterdir())


def test_an_output_never_has_companions_of_another_content(tmp_path, monkeypatch):
    """Stop between any two renames: what is there then is the old, the new, or absent."""
    path, replace = tmp_path / "a.vcf.gz", type(tmp_path).replace

    def fill(text):
        with output(path, overwrite=True).write_at(".tbi") as part:
            part.write_text(text)
            (tmp_path / f"{part.name}.tbi").write_text(text)

    for n_renamed in range(3):
        fill("old")
        left = [n_renamed]

        def stop(self, target, left=left):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return replace(self, target)

        monkeypatch.setattr(type(tmp_path), "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            fill("new")
        monkeypatch.undo()
        assert not path.exists()
        assert not output(path).is_finished


def test_a_lock_ends_with_its_process_and_what_that_left_half_written_is_removed(tmp_path):
    path = tmp_path / "scores.tsv"
    code = (
        "import sys, time, pathlib\n"
        "from megabase.runtime.artifacts import atomic_path, exclusive_lock\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "with exclusive_lock(path, is_folder=False), atomic_path(path) as part:\n"
        "    part.write_text('half'); print('locked', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(ValueError, match=r"another process is writing .*scores\.tsv"):
            exclusive_lock(path, is_folder=False).__enter__()
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 2  # the lock and the half
    assert not output(path).is_finished
    (tmp_path / "..scores.tsv.0123456789ab.part.tsv.ba9876543210.part.tsv").touch()
    with exclusive_lock(path, is_folder=False):
        assert [file.name for file in tmp_path.iterdir()] == [".scores.tsv.lock"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("is_folder", "lock"), [(True, "out/.megabase.lock"), (False, ".out.lock")]
)
def test_a_lock_left_by_a_kill_at_the_very_end_is_removed_by_the_next_run(
    tmp_path, is_folder, lock
):
    path = tmp_path / "out"
    place = output(path, is_folder=is_folder)
    if is_folder:
        place.start()
        place.finish()
    else:
        write(place)
    (tmp_path / lock).touch()
    with exclusive_lock(path, is_folder=is_folder):
        assert output(path, is_folder=is_folder).is_finished
        assert (tmp_path / lock).exists()  # another process is at work
    (tmp_path / lock).touch()
    assert output(path, is_folder=is_folder).is_finished
    assert not (tmp_path / lock).exists()


def test_parts_left_by_a_kill_at_the_very_end_are_removed_by_the_next_run(tmp_path):
    path = tmp_path / "out"
    write(output(path))
    parts_folder(path).mkdir()
    (parts_folder(path) / "lines").touch()
    with exclusive_lock(path, is_folder=False):
        assert output(path).is_finished
        assert parts_folder(path).exists()  # another process is at work
    assert output(path).is_finished
    assert not parts_folder(path).exists()


def test_a_lock_does_not_count_as_content_of_a_folder(tmp_path):
    with exclusive_lock(tmp_path):
        place = output(tmp_path, is_folder=True)
        place.start()
        place.finish()
    assert read_record(tmp_path)["files"] == []
    assert [file.name for file in tmp_path.iterdir()] == [RECORD]


def test_missing_support_for_locks_is_logged(tmp_path, monkeypatch, caplog):
    def no_locks(*_):
        raise OSError(38, "Function not implemented")

    caplog.set_level("INFO", logger="megabase")
    monkeypatch.setattr("fcntl.flock", no_locks)
    with exclusive_lock(tmp_path / "model"), atomic_path(tmp_path / "model" / "a") as part:
        part.write_text("x")
    assert "cannot be locked" in caplog.text
    assert [file.name for file in (tmp_path / "model").iterdir()] == ["a"]
