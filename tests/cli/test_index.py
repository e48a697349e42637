"""An index: memories begin with it, a sequence's own place in it does not count, bad files end."""

import json

import numpy as np
import pytest

from megabase.model.load import save
from megabase.ops.backends import why_memory_not_compiled
from tests import toys
from tests.cli.command import run
from tests.cli.test_bad_input import refused
from tests.cli.test_remembering import numbers
from tests.vcf_files import vcf_text, write_vcf_file

pytestmark = pytest.mark.skipif(
    why_memory_not_compiled() is not None, reason="an index is made by compiled code"
)

GENOME = {"chrI": toys.repeats(48, seed=1)}
RELATIVE = {"one": toys.letters(30, 5) + toys.repeats(48, seed=1)[:40] + toys.letters(30, 6)}
VERBS = {
    "score": ["score", "--input", "genome.fa", "--strand", "average"],
    "score intervals": [
        "score", "--input", "whole.bed", "--genome", "genome.fa", "--strand", "average",
    ],
    "score spliced": ["score", "--input", "exons.bed", "--genome", "genome.fa", "--splice"],
    "score-vcf": ["score-vcf", "--input", "in.vcf", "--genome", "genome.fa", "--distance"],
    "embed": ["embed", "--input", "genome.fa"],
    "embed intervals": ["embed", "--input", "whole.bed", "--genome", "genome.fa"],
    "embed alleles": ["embed", "--input", "in.vcf", "--genome", "genome.fa"],
    "mutagenesis": [
        "mutagenesis", "--regions", "region.bed", "--genome", "genome.fa", "--mode", "both",
        "--window", 48,
    ],
    "tracks": ["tracks", "--genome", "genome.fa"],
}  # fmt: skip
ENDINGS = {"embed": ".npz", "tracks": ".bedgraph", "score-vcf": ".vcf"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    save(toys.model(**toys.MEMORY), folder / "model")
    save(toys.model(), folder / "plain")
    toys.write_fasta(folder / "genome.fa", GENOME)
    toys.write_fasta(folder / "relative.fa", RELATIVE)
    (folder / "whole.bed").write_text("chrI\t0\t48\tx\t0\t-\n")
    (folder / "region.bed").write_text("chrI\t20\t28\tx\n")
    (folder / "exons.bed").write_text("chrI\t0\t48\tx\t0\t-\t0\t48\t0\t2\t20,27,\t0,21,\n")
    rows = [("chrI", at, GENOME["chrI"][at - 1], other(at), ".") for at in (9, 24, 40)]
    write_vcf_file(folder / "in.vcf", vcf_text(rows))
    return folder


def other(at):
    return "A" if GENOME["chrI"][at - 1] != "A" else "C"


def indexed(capsys, folder, name, *genomes):
    path = folder / name
    each = [word for genome in genomes for word in ("--genome", folder / genome)]
    answer = run(capsys, "index", "--model", folder / "model", *each, "--output", path)
    assert answer.code == 0, answer.err
    return path


@pytest.fixture
def answered(capsys, folder, tmp_path):
    def answer(verb, output, *options):
        words = [folder / each if "." in str(each) else each for each in VERBS[verb]]
        path = tmp_path / f"{output}{ENDINGS.get(words[0], '.tsv')}"
        result = run(capsys, *words, "--model", folder / "model", "--output", path, *options)
        assert result.code == 0, result.err
        return numbers(path)

    return answer


@pytest.mark.parametrize("verb", VERBS)
def test_a_sequences_own_place_in_the_index_does_not_count(capsys, folder, answered, verb):
    """The genome is one short contig: without its own place, only the relative is left."""
    both = indexed(capsys, folder, "both.index", "genome.fa", "relative.fa")
    alone = indexed(capsys, folder, "alone.index", "relative.fa")
    expected = answered(verb, "alone", "--index", alone)
    np.testing.assert_array_equal(answered(verb, "both", "--index", both), expected)
    assert np.abs(answered(verb, "without") - expected).max() > 1e-4


def test_another_genome_with_some_equal_letters_counts(capsys, folder, answered):
    index = indexed(capsys, folder, "own.index", "genome.fa")
    toys.write_fasta(folder / "other.fa", {"chrI": GENOME["chrI"][:47] + other(48)})
    changed = indexed(capsys, folder, "other.index", "other.fa")
    without = answered("score", "without")
    np.testing.assert_array_equal(answered("score", "own", "--index", index), without)
    assert np.abs(answered("score", "changed", "--index", changed) - without).max() > 1e-3


def test_the_rest_of_the_genome_counts(capsys, folder, tmp_path):
    """Brute force: a window of a contig, and the index with that window as N."""
    letters = toys.repeats(200, seed=3)
    toys.write_fasta(tmp_path / "long.fa", {"c": letters})
    toys.write_fasta(tmp_path / "masked.fa", {"c": letters[:90] + "N" * 50 + letters[140:]})
    (tmp_path / "window.bed").write_text("c\t90\t140\tx\n")
    found = {}
    for name in ("long", "masked"):
        index, scores = tmp_path / f"{name}.index", tmp_path / f"{name}.tsv"
        model = ["--model", folder / "model"]
        assert run(
            capsys, "index", *model, "--genome", tmp_path / f"{name}.fa", "--output", index
        ).code == 0  # fmt: skip
        intervals = ["--input", tmp_path / "window.bed", "--genome", tmp_path / "long.fa"]
        answer = run(capsys, "score", *model, *intervals, "--index", index, "--output", scores)
        assert answer.code == 0, answer.err
        found[name] = numbers(scores)
    np.testing.assert_array_equal(found["long"], found["masked"])


def test_generation_begins_with_the_index_and_is_exact(capsys, folder, tmp_path):
    index = indexed(capsys, folder, "generate.index", "relative.fa")
    toys.write_fasta(tmp_path / "prompt.fa", {"p": RELATIVE["one"][30:60]})
    texts = {}
    for name, options in {
        "with": ["--index", index],
        "again": ["--index", index],
        "no": [],
    }.items():
        path = tmp_path / f"{name}.fa"
        answer = run(
            capsys, "generate", "--model", folder / "model", "--prompt", tmp_path / "prompt.fa",
            "--length", 10, "--output", path, *options,
        )  # fmt: skip
        assert answer.code == 0, answer.err
        texts[name] = path.read_text()
    assert texts["with"] == texts["again"] != texts["no"]


@pytest.mark.parametrize("memory", ["before", "window"])
def test_perplexity_after_an_index(capsys, folder, tmp_path, memory):
    """The genome itself is read in its own place, or not at all."""
    both = indexed(capsys, folder, "p-both.index", "genome.fa", "relative.fa")
    alone = indexed(capsys, folder, "p-alone.index", "relative.fa")
    toys.write_fasta(tmp_path / "two.fa", GENOME | {"chrII": toys.repeats(150, seed=9)})
    (tmp_path / "scored.bed").write_text("chrI\t8\t48\nchrII\t40\t120\n")
    fixed = [
        "evaluate", "perplexity", "--model", folder / "model", "--genome", tmp_path / "two.fa",
        "--regions", tmp_path / "scored.bed", "--memory", memory, "--json",
    ]  # fmt: skip
    bits = []
    for options in (["--index", both], ["--index", alone], []):
        answer = run(capsys, *fixed, *options)
        assert answer.code == 0, answer.err
        bits.append(json.loads(answer.out)["model"]["bits_per_base"])
    if memory == "before":
        assert bits[0] == bits[1]
    assert bits[1] != bits[2]


def test_context_is_measured_after_an_index(capsys, folder, tmp_path):
    toys.write_fasta(tmp_path / "g.fa", {"c": toys.repeats(3000, seed=9)})
    (tmp_path / "r.bed").write_text("c\t1000\t3000\n")
    index = indexed(capsys, folder, "c.index", "relative.fa")
    model = toys.model(**toys.MEMORY, max_seq_len=1026)
    save(model, tmp_path / "model")
    bits = []
    for name, options in (("a", ["--index", index]), ("b", [])):
        answer = run(
            capsys, "evaluate", "context", "--model", tmp_path / "model", "--genome",
            tmp_path / "g.fa", "--regions", tmp_path / "r.bed", "--windows", 2, "--gain-only",
            "--context-length", 512, "--output", tmp_path / name, *options,
        )  # fmt: skip
        assert answer.code == 0, answer.err
        report = json.loads((tmp_path / name / "context.json").read_text())
        bits.append(report["gain"][0]["bits"]["bits_per_base"])
    assert bits[0] != bits[1]


def test_the_same_index_is_not_made_again_and_another_is_refused(capsys, folder):
    path = indexed(capsys, folder, "same.index", "relative.fa")
    before = path.stat().st_mtime_ns
    indexed(capsys, folder, "same.index", "relative.fa")
    assert path.stat().st_mtime_ns == before
    again = ["index", "--model", folder / "model", "--genome", folder / "genome.fa"]
    refused(run(capsys, *again, "--output", path), "made by another request")


def test_bad_indexes_end_in_one_line(capsys, folder, tmp_path):
    path = indexed(capsys, folder, "bad.index", "relative.fa")
    content = path.read_bytes()
    score = ["score", "--input", folder / "genome.fa", "--output", tmp_path / "o.tsv"]

    def error(model, data, expected):
        (tmp_path / "x.index").write_bytes(data)
        words = [*score, "--model", folder / model, "--index", tmp_path / "x.index"]
        refused(run(capsys, *words), expected)

    error("model", content[:-100], "truncated or damaged")
    error("model", content[:20], "is not an index")
    error("model", b">chrI\n" + b"ACGT" * 100, "is not an index")
    error("model", content.replace(b"index 1 ", b"index 9 ", 1), "of version 9")
    error("model", content[:64] + b"{" + content[65:].replace(b'"orders"', b'"ordres"', 1),
          "invalid header")  # fmt: skip
    wrong = content.replace(b'"count_bytes": [2', b'"count_bytes": [4', 1)
    error("model", wrong, "arrays of other sizes")
    error("plain", content, "has no memory")
    other_orders = toys.MEMORY | {"memory_orders": [1, 2, 3]}
    save(toys.model(**other_orders), folder / "other")
    error("other", content, r"counts orders [1, 2, 3]")
    missing = [*score, "--model", folder / "model", "--index", tmp_path / "none.index"]
    refused(run(capsys, *missing), "there is no index")
    plain = ["index", "--model", folder / "plain", "--genome", folder / "genome.fa"]
    refused(run(capsys, *plain, "--output", tmp_path / "y.index"), "has no memory")


@pytest.mark.parametrize("measure", ["perplexity", "context"])
def test_an_index_that_nothing_reads_is_refused_before_anything_is_written(
    capsys, folder, tmp_path, measure
):
    index = indexed(capsys, folder, "unread.index", "relative.fa")
    words = ["evaluate", measure, "--model", folder / "plain", "--genome", folder / "genome.fa"]
    answer = run(capsys, *words, "--index", index, "--output", tmp_path / "output")
    refused(answer, "has no memory")
    assert not any(tmp_path.iterdir())


def test_predict_has_no_index(capsys, folder):
    words = ["predict", "--model", folder / "model", "--input", folder / "genome.fa"]
    refused(run(capsys, *words, "--index", "x", "--output", "y.tsv"), "No such option")
