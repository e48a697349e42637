"""Every verb: what is done stays done after a kill, and batches change only the rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.errors import InputError
from megabase.io.arrays import read_arrays
from megabase.pipelines.pipeline import Journal, RunOptions, Shard, open_journal
from megabase.pipelines.tracks import TrackRequest
from megabase.runtime.artifacts import exclusive_lock
from tests.pipelines.jobs import JOBS, REMEMBERING_JOBS, run_job, without_command

REQUEST = {"command": "x", "window": 8}


@given(st.integers(0, 50), st.integers(1, 9))
def test_all_shards_together_are_all_records(n_records, count):
    shards = [Shard(index, count) for index in range(1, count + 1)]
    parts = [list(shard.of(range(n_records))) for shard in shards]
    assert sorted(number for part in parts for number in part) == list(range(n_records))
    assert [len(part) for part in parts] == [shard.size(n_records) for shard in shards]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", ""])
def test_an_invalid_shard_is_an_error(text):
    with pytest.raises(ValueError, match="a shard must be i/n"):
        Shard.from_text(text)


def test_a_journal_goes_on_where_it_was(tmp_path):
    Journal(tmp_path / "j", REQUEST).append(b"a\nb\n", 2)
    journal = Journal(tmp_path / "j", REQUEST)
    assert journal.n_done == 2
    journal.append(b"c\n", 1)
    assert (journal.n_done, journal.body.read_bytes()) == (3, b"a\nb\nc\n")


def test_lines_that_a_kill_left_without_a_note_are_cut_off(tmp_path):
    first = Journal(tmp_path / "j", REQUEST)
    first.append(b"a\n", 1)
    with first.body.open("ab") as file:
        file.write(b"half a li")
    again = Journal(tmp_path / "j", REQUEST)
    again.append(b"b\n", 1)
    assert (again.n_done, again.body.read_bytes()) == (2, b"a\nb\n")


def test_work_of_another_request_and_lost_lines_are_recomputed(tmp_path):
    Journal(tmp_path / "j", REQUEST).append(b"a\n", 1)
    other = Journal(tmp_path / "j", REQUEST | {"window": 16})
    assert (other.n_done, other.body.read_bytes()) == (0, b"")
    other.append(b"a\n", 1)
    other.body.write_bytes(b"")
    assert Journal(tmp_path / "j", REQUEST | {"window": 16}).n_done == 0


def test_a_journal_leaves_nothing(tmp_path):
    journal = Journal(tmp_path / "j", REQUEST)
    journal.append(b"a\n", 1)
    journal.remove()
    assert not list(tmp_path.iterdir())


def test_one_process_writes_a_journal_which_a_failure_keeps_and_success_removes(tmp_path):
    def fail():
        with open_journal(tmp_path / "a.bg", REQUEST) as journal:
            with pytest.raises(InputError, match="another process is writing"):
                exclusive_lock(tmp_path / "a.bg", is_folder=False).__enter__()
            journal.append(b"a\n", 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with open_journal(tmp_path / "a.bg", REQUEST) as journal:
        assert journal.n_done == 1
    assert not list(tmp_path.iterdir())


def test_a_request_leaves_out_defaults_so_that_outputs_of_earlier_versions_stay_finished():
    known = {"command": "tracks", "model": "a", "genome": "b", "quantity": "entropy"}
    known |= {"strand": "forward", "stride": 8, "regions": None, "contigs": {}}
    fields = {key: value for key, value in known.items() if key != "command"}
    assert TrackRequest(**fields).record() == known
    options = RunOptions(shard=Shard(1, 2), precision="bfloat16", deterministic=True)
    added = {"precision": "bfloat16", "shard": "1/2", "deterministic": True}
    assert TrackRequest(**fields, **options.in_request()).record() == known | added


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "the device must be auto"),
        ({"precision": "half"}, "the precision must be one of"),
        ({"batch_tokens": 0}, "at least 1 token, got 0"),
        ({"batch_tokens": 8, "deterministic": True}, "leave out --batch-tokens"),
    ],
)
def test_invalid_options_are_an_error(options, message):
    with pytest.raises(InputError, match=message):
        RunOptions(**options)


ALL_JOBS = pytest.mark.parametrize(
    ("job", "suffix", "fixture"),
    [
        *((*job, "files") for job in JOBS),
        *((*job, "remembering_files") for job in REMEMBERING_JOBS),
    ],
)


@ALL_JOBS
@pytest.mark.usefixtures("small_parts")
def test_an_interrupted_command_continues_to_the_same_bytes(
    request, tmp_path, monkeypatch, job, suffix, fixture
):
    files = request.getfixturevalue(fixture)
    whole, again = tmp_path / f"whole{suffix}", tmp_path / f"again{suffix}"
    append, parts = Journal.append, []

    def count(self, lines, n):
        parts.append(n)
        append(self, lines, n)

    monkeypatch.setattr(Journal, "append", count)
    run_job(job, files, whole, RunOptions())
    n_parts, n_records = len(parts), sum(parts)
    assert n_parts > 1
    parts.clear()

    def stop(self, lines, n):
        count(self, lines, n)
        if len(parts) == n_parts // 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, files, again, RunOptions())
    assert not again.exists()
    monkeypatch.setattr(Journal, "append", count)
    run_job(job, files, again, RunOptions())
    assert without_command(again) == without_command(whole)
    assert (len(parts), sum(parts)) == (n_parts, n_records)  # nothing was computed twice
    assert not list(tmp_path.glob(".*"))


def numbers_of(path):
    """Return all numbers of a file, and everything else of it."""
    if path.suffix == ".npz":
        _, read = read_arrays(path)
        values = np.concatenate([rows.values for rows in read()])
        return values.ravel(), [name for rows in read() for name in rows.names]
    cells = [
        cell
        for line in without_command(path)
        if not line.startswith(b"##")
        for cell in line.decode().replace("=", "\t").replace(";", "\t").replace(",", "\t").split()
    ]
    found = [(cell, _number(cell)) for cell in cells]
    return (
        np.array([number for _, number in found if number is not None]),
        [cell for cell, number in found if number is None],
    )


def _number(cell):
    try:
        return float(cell)
    except ValueError:
        return None


@ALL_JOBS
def test_batches_change_values_by_rounding_only(request, tmp_path, job, suffix, fixture):
    """The promise of 1e-5 nats; sums over a toy's windows of at most 64 bases are within it."""
    files = request.getfixturevalue(fixture)
    found = {}
    for name, options in (
        ("alone", RunOptions(deterministic=True)),
        ("small", RunOptions(batch_tokens=100)),
        ("usual", RunOptions()),
    ):
        run_job(job, files, tmp_path / f"{name}{suffix}", options)
        found[name] = numbers_of(tmp_path / f"{name}{suffix}")
    for name in ("small", "usual"):
        assert found[name][1] == found["alone"][1]
        np.testing.assert_allclose(found[name][0], found["alone"][0], rtol=1e-4, atol=1e-5)
