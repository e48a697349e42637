"""Tasks are found by name, group and pattern, and a near miss is suggested."""

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import (
    all_tasks,
    find_task,
    find_tasks,
    group_names,
    published_means,
)


def names(*patterns):
    return [task.name for task in find_tasks(patterns)]


def test_names_are_unique():
    assert len({task.name for task in all_tasks()}) == len(all_tasks())


def test_the_groups_have_all_their_tasks():
    counts = {group: len(find_tasks([group])) for group in group_names()}
    assert counts["genomic_benchmarks"] == 8
    assert counts["nucleotide_transformer"] == 18
    assert counts["gue"] == 28
    assert counts["in_context"] == 6


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("gue/tf/0", ["gue/tf/0"]),
        ("gue/mouse/", [f"gue/mouse/{i}" for i in range(5)]),
        ("gue/prom/*_tata", ["gue/prom/prom_core_tata", "gue/prom/prom_300_tata"]),
        ("covid", ["gue/virus/covid"]),
        ("splice_sites_donors", ["nucleotide_transformer/splice_sites_donors"]),
    ],
)
def test_patterns_mean_tasks(pattern, expected):
    assert names(pattern) == expected


def test_a_task_that_two_patterns_mean_comes_once():
    assert names("gue/tf/1", "gue/tf/[01]") == ["gue/tf/1", "gue/tf/0"]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("gue/tff/0", "no task is called 'gue/tff/0'; did you mean gue/tf/0"),
        ("human_ocr_ensemb", "did you mean genomic_benchmarks/human_ocr_ensembl"),
        ("zzz", "no task is called 'zzz'; groups: genomic_benchmarks, nucleotide_transformer"),
        (
            "H3K4me3",
            "2 tasks end in it, nucleotide_transformer/H3K4me3, gue/EMP/H3K4me3",
        ),
        ("gue/zz*", "no task is called"),
    ],
)
def test_an_unknown_or_ambiguous_task_is_an_error(pattern, problem):
    with pytest.raises(InputError, match=problem):
        find_tasks([pattern])


def test_one_task_is_one():
    with pytest.raises(InputError, match=r"gue/mouse matches 5 tasks, gue/mouse/0"):
        find_task("gue/mouse")
    with pytest.raises(InputError, match="name a task or a group"):
        find_tasks([])


def test_every_published_mean_is_over_tasks_of_the_catalogue():
    for number in published_means():
        assert find_tasks([number.over]), number


def test_letters_for_labels_are_bases():
    for task in find_tasks(["in_context"]):
        assert set(task.label_letters) <= set("AGN")
        assert not task.published
