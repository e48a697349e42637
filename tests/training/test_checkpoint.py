"""A checkpoint has its name once it is whole; metrics are cut back to it."""

from megabase.training.checkpoint import Checkpoints, keep_metrics, step_of


def write(checkpoints, step):
    (checkpoints.part / f"checkpoint-{step}").mkdir(parents=True)
    (checkpoints.part / f"checkpoint-{step}" / "weights").write_text(str(step))
    checkpoints.commit(step)


def test_the_newest_by_step_is_given_and_two_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.newest() is None
    for step in (5, 50, 100):
        write(checkpoints, step)
    assert step_of(checkpoints.newest()) == 100
    assert sorted(path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*")) == [
        "checkpoint-100",
        "checkpoint-50",
    ]


def test_an_unfinished_checkpoint_does_not_count(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    (checkpoints.part / "checkpoint-7").mkdir(parents=True)
    assert checkpoints.newest() is None
    checkpoints.remove_part()
    assert not checkpoints.part.exists()


def test_files_of_others_are_left_alone(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    (tmp_path / "checkpoint-best").mkdir()
    write(checkpoints, 5)
    assert step_of(checkpoints.newest()) == 5
    checkpoints.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-best"]


def test_metrics_after_the_checkpoint_and_half_a_line_are_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    assert keep_metrics(path, 2) == [{"step": 1}, {"step": 2}]
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    assert keep_metrics(tmp_path / "none", 2) == []
