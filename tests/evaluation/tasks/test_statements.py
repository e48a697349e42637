"""Files of statements: what they state, what they share, and what is refused."""

from pathlib import Path
from textwrap import dedent

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks import catalogue
from megabase.evaluation.tasks.catalogue import (
    find_tasks,
    group_file,
    group_names,
    read_group_file,
    read_tasks,
    task_group,
)
from megabase.metrics.results import Published

SHARED = """
shared:
  source: {paper: P, url: "", licence: none stated}
  kind: binary
  metric: mcc
  classes: ["no", "yes"]
"""
TASKS = SHARED + "tasks:\n  one: {title: first, length: 8}\n"


def read(tmp_path, text, group="toys"):
    file = tmp_path / f"{group}.yaml"
    file.write_text(text)
    return read_tasks(group, read_group_file(file))


def test_a_file_is_all_that_a_task_needs(tmp_path):
    (one,), means = read(tmp_path, TASKS)
    assert (one.name, one.title, one.classes, one.length) == ("toys/one", "first", ("no", "yes"), 8)
    assert (one.group, one.n_outputs, one.source.paper) == ("toys", 2, "P")
    assert not means


def test_a_statement_precedes_the_task_that_it_is_like_and_both_precede_what_is_shared(tmp_path):
    text = TASKS + (
        "  two: {title: second, metric: auroc, notes: [a]}\n"
        "  three: {like: toys/two, title: third}\n"
        "  four: {like: gue/virus/covid, title: fourth, published_rows: {}}\n"
    )
    one, two, three, four = read(tmp_path, text).tasks
    assert [task.metric for task in (one, two, three)] == ["mcc", "auroc", "auroc"]
    assert (three.title, three.notes, two.classes) == ("third", ("a",), one.classes)
    assert (four.kind, four.metric, len(four.classes)) == ("multiclass", "f1_macro", 9)
    assert four.source.paper.startswith("DNABERT-2")


def test_tables_have_the_numbers_of_tasks_and_of_means(tmp_path):
    text = TASKS + (
        "  two: {title: second, metric: auroc}\n"
        "published:\n"
        "  - {protocol: paper, source: Q, is_percent: true, table: 'set|A|B\n\n\n two|85.1|-'}\n"
        "  - {protocol: clean, source: R, metrics: {one: f1_macro}, table: 'set|A\n\n\n one|.5'}\n"
        "  - {protocol: clean, source: R, metrics: {one: mcc}, parts: [x, y], table: 'set|A\n\n\n"
        " one|.5 .6'}\n"
        "means:\n"
        "  - {protocol: official, source: S, metric: mcc, table: 'over|C\n\n\n toys/*|.7'}\n"
    )
    (one, two), means = read(tmp_path, text)
    assert two.published == (Published("A", 0.851, "auroc", "paper", "Q"),)
    assert one.published == (
        Published("A", 0.5, "f1_macro", "clean", "R"),
        Published("A", 0.5, "mcc", "clean", "R", part="x"),
        Published("A", 0.6, "mcc", "clean", "R", part="y"),
    )
    assert means == (Published("C", 0.7, "mcc", "official", "S", over="toys/*"),)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("two: {titel: second}", "toys.yaml, task two: unknown .* 'titel'; did you mean 'title'"),
        ("two: {title: 2}", "task two: .*'title': Input should be a valid string, got 2"),
        ("two: {metric: mcc}", "task two: the .* needs a value for 'title'"),
        ("two: {title: t, classes: [a]}", "toys/two: binary needs two classes, got 1"),
        ("two: {title: t, classes: [no, yes]}", "'classes.0': Input should be a valid string"),
        ("two: {title: t, source: {paper: P, url: ''}}", "needs a value for 'source.licence'"),
        ("two: {title: t, source: {pages: 3}}", "unknown .* 'source.pages'"),
        ("two: {title: t, published: []}", "published is not a key; .* tables of the group"),
        ("two: {title: t, name: a/b}", "name is not a key; the name of a task is its key"),
        ("two: {like: toys/none}", "like must be the name of a task .* got 'toys/none'"),
        ("two: {like: toyz/one}", "like must be the name of a task .* got 'toyz/one'"),
        ("two: {like: toys/two}", "like must be the name of a task that is not like another one"),
        ("one: {title: again}", "the key 'one' is repeated"),
    ],
)
def test_an_invalid_statement_is_an_error_of_one_line(tmp_path, line, problem):
    with pytest.raises(InputError, match=problem) as caught:
        read(tmp_path, f"{TASKS}  {line}\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SHARED, "toys.yaml: the .* needs a value for 'tasks'"),
        (TASKS + "mean: []\n", "toys.yaml: unknown .* 'mean'; did you mean 'means'"),
        (TASKS + "tasks: {}\n", "the key 'tasks' is repeated"),
        (TASKS + "published: [{protocol: paper, source: Q}]\n", "a value for 'published.0.table'"),
        (
            TASKS + "published: [{protocol: paper, source: Q, table: 'set|A\n\n\n six|.5'}]\n",
            "published table has a row 'six', which is not a task of the group",
        ),
        (
            TASKS + "means: [{protocol: paper, source: Q, table: 'over|A\n\n\n toys/*|.5'}]\n",
            r"the row 'toys/\*' of a table needs a metric",
        ),
        ("- a list\n", "must hold keys and values"),
        ("{", "is not valid YAML"),
    ],
)
def test_an_invalid_file_is_an_error_of_one_line(tmp_path, text, problem):
    with pytest.raises(InputError, match=problem) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_every_file_of_statements_is_listed_once():
    files = {file.stem for file in Path(catalogue.__file__).parent.glob("*.yaml")} - {"groups"}
    assert files == set(group_names())
    assert len(files) == len(group_names())


def test_the_example_of_the_documentation_is_a_file_of_statements(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "contributing.md").read_text()
    text = dedent(page.partition("```yaml\n")[2].partition("   ```")[0]).replace("GROUP", "toys")
    one, two = read(tmp_path, text).tasks
    assert (one.name, two.name, two.metric) == ("toys/enhancers", "toys/silencers", "mcc")
    assert (len(one.published), len(two.published)) == (2, 1)


@pytest.mark.parametrize("pattern", ["gue/tf/0", "gue/tf", "gue/prom/*_tata"])
def test_a_name_with_its_group_reads_the_file_of_that_group_only(pattern):
    group_file.cache_clear()
    task_group.cache_clear()
    assert find_tasks([pattern])
    assert group_file.cache_info().currsize == 1
