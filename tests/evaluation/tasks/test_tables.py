"""The tables of published numbers have the means that were derived from them by hand."""

import re
from collections import Counter, defaultdict

import pytest

from megabase.evaluation.tasks.catalogue import (
    all_tasks,
    find_task,
    find_tasks,
    group_file,
    published_means,
)

GENOMIC_BENCHMARKS = find_tasks(["genomic_benchmarks"])
NUCLEOTIDE_TRANSFORMER = find_tasks(["nucleotide_transformer"])
BEST_ON_TEST_TABLE, _, CLEAN_TABLE = (
    each.table for each in group_file("genomic_benchmarks").published
)
PAPER, TEN_FOLD = (each.table for each in group_file("nucleotide_transformer").published)
FIVE_WAY, APES = (each.table for each in group_file("species").published)

BEST_ON_TEST = {
    "CNN": 79.2, "DNABERT": 83.1, "GPT (4.1)": 83.8, "HyenaDNA": 88.5, "HyenaDNA v1": 87.8,
    "Hyena scratch": 86.6, "Hyena k-mer scratch": 82.9, "Hyena bidirectional scratch": 84.7,
    "GPT scratch": 81.7, "GPT pretrained": 86.3,
}  # fmt: skip
CLEAN = {
    "CNN 264K": 80.3, "HyenaDNA 436K": 85.3, "Mamba 468K": 84.6, "Caduceus-Ph 470K": 86.6,
    "Caduceus-PS 470K": 86.9, "ConvNova 386K": 86.9, "JanusDNA attention": 86.8,
    "JanusDNA no attention": 86.7, "Caduceus MLM 467K": 87.1, "Caduceus MDLM": 86.9,
}  # fmt: skip
NUCLEOTIDE = {
    "NT 500M (1 genome)": 63.4, "NT 2.5B (3,202 genomes)": 66.9, "NT 2.5B (850 species)": 70.9,
    "HyenaDNA 1.6M": 75.9, "GPT pretrained": 65.4, "Hyena scratch": 67.8,
}  # fmt: skip


def means(tasks, protocol):
    values = defaultdict(list)
    for task in tasks:
        for number in task.published:
            if number.protocol == protocol:
                values[number.model].append(100 * number.value)
    return {model: (sum(some) / len(some), len(some)) for model, some in values.items()}


@pytest.mark.parametrize(
    ("tasks", "protocol", "expected"),
    [
        (GENOMIC_BENCHMARKS, "paper", BEST_ON_TEST),
        (GENOMIC_BENCHMARKS, "clean", CLEAN),
        (NUCLEOTIDE_TRANSFORMER, "paper", NUCLEOTIDE),
    ],
)
def test_the_means_of_the_columns_are_those_of_the_facts(tasks, protocol, expected):
    found = means(tasks, protocol)
    for model, mean in expected.items():
        assert found[model][1] == len(tasks), model
        assert found[model][0] == pytest.approx(mean, abs=0.051), model


def value(name, model, protocol, part=""):
    (found,) = [
        number.value
        for number in find_task(name).published
        if (number.model, number.protocol, number.part) == (model, protocol, part)
    ]
    return found


def test_single_numbers_that_no_mean_covers():
    assert value("species/five_1m", "HyenaDNA", "paper") == 0.995
    assert value("species/apes_1048576", "Mamba 7M", "unstated") == 0.8131
    assert value("biotypes/human", "HyenaDNA 8x256 (160k)", "frozen") == 0.72
    profile = [
        ("chromatin_profile/1k", "HyenaDNA 8x256, context 1k, mean pool", "TF", 0.964),
        ("chromatin_profile/8k", "HyenaDNA 4x256, context 32k, last token", "HM", 0.893),
        ("chromatin_profile/8k", "BigBird 110M (BPE)", "DHS", 0.921),
    ]
    for name, model, part, expected in profile:
        assert value(name, model, "paper", part) == expected
    human = "genomic_benchmarks/"
    assert value(human + "dummy_mouse_enhancers_ensembl", "cdilDNA", "paper") == 0.8595


def test_the_ten_fold_column_of_mergedna_has_the_mean_that_its_paper_prints():
    found, n = means(NUCLEOTIDE_TRANSFORMER, "ten-fold")["MergeDNA 380M"]
    (printed,) = [
        number.value
        for number in published_means()
        if (number.model, number.over) == ("MergeDNA", "nucleotide_transformer/*")
    ]
    assert n == 18
    assert found / 100 == pytest.approx(printed, abs=0.0002)


def rows_between(text, start, end):
    """Give the numbers of each row of the table that stands between two texts."""
    body = text[text.index(start) :]
    lines = [line for line in body[: body.index(end)].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return [[float(n) for cell in row[1:] for n in re.findall(NUMBER, cell)] for row in cells]


NUMBER = r"(?<![\w(])-?\d*\.\d+"
TABLES = [
    ("Authors' protocol: no validation", "TensorFlow CNN", BEST_ON_TEST_TABLE, (10,)),
    ("Clean protocol (CAD)", "GenBench protocol", CLEAN_TABLE, ()),
    ("## 3.2 Nucleotide", "[P] Tab. 4.2, A.6", PAPER, ()),
    ("**10-fold protocol**", "(1) Other data version", TEN_FOLD, (8,)),
    ("## 3.5 Species", "Great apes (human", FIVE_WAY, ()),
    ("harder set of MAM", "## 3.6", APES, ()),
]


@pytest.mark.parametrize(("start", "end", "table", "extra"), TABLES)
def test_each_table_has_every_number_of_the_sheet_of_facts(shared, start, end, table, extra):
    """Numbers are compared as a heap: the two tables differ in the order of rows and columns."""
    sheet = shared / "facts/hyenadna.md"
    if not sheet.is_file():
        pytest.skip("needs the sheet of facts beside the shared data")
    ours = [line.split("|")[1:] for line in table.strip().splitlines()[1:]]
    kept = [
        float(cell)
        for row in ours
        for column, cell in enumerate(row)
        if column not in extra and cell != "-"
    ]
    theirs = [n for row in rows_between(sheet.read_text(), start, end) for n in row]
    missing = Counter(kept) - Counter(theirs)
    assert kept
    assert not missing


def test_the_gain_over_cnn_and_dnabert_is_the_derived_one():
    found = means(GENOMIC_BENCHMARKS, "paper")
    assert found["HyenaDNA"][0] - found["CNN"][0] == pytest.approx(9.2, abs=0.06)
    assert found["HyenaDNA"][0] - found["DNABERT"][0] == pytest.approx(5.4, abs=0.06)


def test_two_benchmarks_agree_on_how_many_rows_they_share():
    """GUE's training and validation rows are the training rows of the Nucleotide Transformer."""
    other = {"prom/prom_300_all": "promoter_all", "prom/prom_300_notata": "promoter_no_tata",
             "prom/prom_300_tata": "promoter_tata"}  # fmt: skip
    tasks = [*find_tasks(["gue/EMP/*"]), *(find_task(f"gue/{name}") for name in other)]
    for task in tasks:
        leaf = task.name.removeprefix("gue/")
        twin = find_task(f"nucleotide_transformer/{other.get(leaf, leaf[4:])}")
        rows = task.published_rows
        assert rows["train"] + rows["validation"] == twin.published_rows["train"], task.name  # pyright: ignore[reportOperatorIssue]


def test_the_919_labels_are_125_690_and_104():
    sizes = {
        group.name: group.end - group.start
        for group in find_task("chromatin_profile/1k").label_groups
    }
    assert sizes == {"DHS": 125, "TF": 690, "HM": 104}
    assert find_task("chromatin_profile/8k").n_outputs == 919


def test_every_number_names_its_source_and_fits_its_task():
    for task in all_tasks():
        for number in task.published:
            assert number.source
            assert number.metric == task.metric or number.protocol == "ten-fold", task.name
