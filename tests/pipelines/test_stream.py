"""What is done stays done after a kill, once, and shards together are the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.pipelines.pipeline import Journal, Shard

REQUEST = {"command": "x", "window": 8}


@given(st.integers(0, 50), st.integers(1, 9))
def test_all_shards_together_are_all_records(n_records, count):
    shards = [Shard(index, count) for index in range(1, count + 1)]
    parts = [list(shard.of(range(n_records))) for shard in shards]
    assert sorted(number for part in parts for number in part) == list(range(n_records))
    assert [len(part) for part in parts] == [shard.size(n_records) for shard in shards]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", ""])
def test_what_is_no_shard_is_an_error(text):
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


def test_work_of_another_request_and_lost_lines_are_begun_anew(tmp_path):
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
