"""Published figures are reported for the published rows only."""

import gzip
import json
from dataclasses import replace

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task, find_tasks
from megabase.evaluation.tasks.task_data import read_task_data

COHN = replace(
    find_task("genomic_benchmarks/human_enhancers_cohn"), published_rows={"train": 3, "test": 2}
)


def write(folder, **splits):
    folder.mkdir(exist_ok=True, parents=True)
    for split, rows in splits.items():
        text = "sequence,label\n" + "".join(f"{row},{len(row) % 2}\n" for row in rows)
        (folder / f"{split}.csv").write_text(text)
    return folder


ROWS = {"train": ["ACGT", "CCC", "GG"], "test": ["TT", "A"]}


def test_rows_as_many_as_published_are_taken_for_them(tmp_path):
    data = read_task_data(COHN, write(tmp_path, **ROWS))
    assert data.is_published_rows
    assert data.published() == COHN.published != ()


@pytest.mark.parametrize(
    ("splits", "difference"),
    [
        (ROWS | {"test": ["TT"]}, "test: 1 rows, published 2"),
        (ROWS | {"dev": ["A"]}, "validation: this split is not published"),
    ],
)
def test_differences_from_the_published_rows_are_reported_and_withhold_the_figures(
    tmp_path, splits, difference
):
    data = read_task_data(COHN, write(tmp_path, **splits))
    assert data.differences == (difference,)
    assert not data.is_published_rows
    assert data.published() == ()


def test_a_digest_distinguishes_other_rows_of_the_same_number(tmp_path):
    seen = read_task_data(COHN, write(tmp_path, **ROWS)).sha256
    task = replace(COHN, sha256=seen)
    turned = {split: rows[::-1] for split, rows in ROWS.items()}
    assert read_task_data(task, write(tmp_path / "a", **turned)).is_published_rows
    changed = ROWS | {"train": ["ACGA", "CCC", "GG"]}
    data = read_task_data(task, write(tmp_path / "b", **changed))
    assert data.differences == ("train: rows differ from the published 3",)


def test_compression_leaves_the_digest_alone(tmp_path):
    plain = read_task_data(COHN, write(tmp_path / "a", **ROWS)).sha256
    folder = write(tmp_path / "b", **ROWS)
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read_task_data(COHN, folder).sha256 == plain


def test_rows_of_an_unknown_number_are_not_taken_for_published(tmp_path):
    task = replace(COHN, published_rows={"train": 3, "test": None})
    (difference,) = read_task_data(task, write(tmp_path, **ROWS)).differences
    assert difference == "test: 2 rows, published number unknown"


def test_a_split_that_replaces_another_is_not_the_published_one(tmp_path):
    rows = {"train": 3, "validation": 2, "test": 2}
    folder = write(tmp_path, train=ROWS["train"], dev=ROWS["test"])
    data = read_task_data(replace(COHN, published_rows=rows), folder, stand_in=True)
    assert data.differences == (
        "the validation rows are used in place of another split",
        "validation: 0 rows, published 2",
    )


def test_the_report_is_plain(tmp_path):
    report = json.loads(json.dumps(read_task_data(COHN, write(tmp_path, **ROWS)).to_dict()))
    assert report["n_rows"] == {"test": 2, "train": 3}
    assert report["rows_by_class"]["train"] == {"negative": 2, "positive": 1}
    assert set(report["sha256"]) == {"train", "test"}


def test_options_that_are_not_for_a_task_are_an_error(tmp_path):
    with pytest.raises(InputError, match="a length does not apply"):
        read_task_data(COHN, tmp_path, length=100)
    with pytest.raises(InputError, match="a number of windows does not apply"):
        read_task_data(COHN, tmp_path, n_windows=100)


def benchmark(shared, *parts):
    folder = shared.joinpath("data", "benchmarks", *parts)
    if not folder.is_dir():
        pytest.skip(f"needs the benchmark {'/'.join(parts)}")
    return folder


@pytest.mark.parametrize(
    ("name", "n_train", "n_test"),
    [
        ("human_enhancers_cohn", 448, 141),
        ("human_enhancers_ensembl", 3111, 747),
        ("human_ensembl_regulatory", 5499, 1373),
        ("human_ocr_ensembl", 2994, 804),
    ],
)
def test_rows_of_chromosome_20_are_not_the_published_ones(shared, name, n_train, n_test):
    folder = benchmark(shared, "genomic_benchmarks_chr20X")
    data = read_task_data(find_task(f"genomic_benchmarks/{name}"), folder)
    assert (len(data.splits["train"]), len(data.splits["test"])) == (n_train, n_test)
    assert len(data.differences) == 2
    assert data.published() == ()


@pytest.mark.parametrize("name", ["tf/0", "mouse/3", "prom/prom_core_tata"])
def test_whole_sets_of_gue_are_the_published_ones(shared, name):
    task = find_task(f"gue/{name}")
    assert set(task.sha256) == {"train", "validation", "test"}
    assert read_task_data(task, benchmark(shared, "gue")).is_published_rows


def test_a_hundred_chromatin_rows_are_read_at_two_lengths(shared):
    folder = benchmark(shared, "deepsea_100")
    short, long = (read_task_data(task, folder) for task in find_tasks(["chromatin_profile"]))
    assert len(short.splits["test"]) == 100
    assert short.splits["test"].sequences[0] == long.splits["test"].sequences[0][3500:4500]
    assert short.splits["test"].labels[0].shape == (919,)


def test_worm_triples_are_53516_of_14959_genes(shared):
    data = read_task_data(find_task("splice_triples/worm"), benchmark(shared, "splice_eie"))
    assert sum(map(len, data.splits.values())) == 53_516
    assert data.differences == ("no rows of this task are published; these were prepared locally",)


def test_tables_with_other_columns_and_delimiters_are_read_where_they_are_named(tmp_path):
    folder = write(tmp_path, **ROWS)
    expected = read_task_data(COHN, folder).sha256
    for path in folder.glob("*.csv"):
        text = path.read_text().replace("sequence,label", "dna,y")
        path.write_text(text.replace(",", "|"))
    named = {"sequence_column": "dna", "label_column": "y", "delimiter": "|"}
    assert read_task_data(COHN, folder, **named).sha256 == expected
    with pytest.raises(InputError, match="has no table of sequences and labels; remove --sequence"):
        read_task_data(find_task("splice_triples/worm"), folder, sequence_column="dna")


def test_a_part_without_rows_is_an_error(tmp_path):
    folder = write(tmp_path, **(ROWS | {"test": []}))
    with pytest.raises(InputError, match=r"the test split of .* has no rows"):
        read_task_data(COHN, folder)
