"""megabase score-vcf: every record comes back in order, with scores, or with the reason why not."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pysam
import pysam.bcftools
import pytest
import torch
from pyarrow import parquet

from megabase.genome.reference import MemoryReference
from megabase.genome.variant import Site
from megabase.inference.score_variants import score_variants
from megabase.model.load import save
from megabase.model.reading import weights_sha256
from megabase.pipelines import score_vcf as module
from megabase.pipelines.pipeline import Journal
from megabase.runtime.artifacts import exclusive_lock
from tests import toys
from tests.cli.command import run
from tests.vcf_files import vcf_text, write_vcf_file

MODEL = toys.model()
LETTERS = toys.letters(400)


@pytest.fixture
def model(tmp_path):
    save(MODEL, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def genome(tmp_path):
    return toys.write_fasta(tmp_path / "genome.fa", {"chrI": LETTERS, "chrII": LETTERS})


def row(position, alt=None, contig="chrI", n_ref=1, info="DP=3"):
    ref = LETTERS[position - 1 : position - 1 + n_ref]
    return contig, position, ref, alt or ("A" if ref != "A" else "C"), info


ROWS = [
    row(1),
    row(100, "G,GTT,<DEL>,*" if LETTERS[99] != "G" else "A,ATT,<DEL>,*"),
    row(150, n_ref=4, alt=LETTERS[149]),
    row(200, "."),
    ("chrI", 210, "A" if LETTERS[209] != "A" else "C", "T", "."),
    row(300, info="."),
    *[row(position, contig="chrII") for position in range(40, 360, 20)],
]


def score(capsys, model, genome, source, output, *options):
    fixed = ["--model", model, "--genome", genome, "--input", source, "--output", output]
    return run(capsys, "score-vcf", *fixed, *options)


def records(path):
    """Give the lines of records, read back by bcftools, which also checks them."""
    return pysam.bcftools.view("-H", str(path)).splitlines()


def info(line):
    return dict(entry.partition("=")[::2] for entry in line.split("\t")[7].split(";"))


@pytest.fixture
def vcf(tmp_path):
    return write_vcf_file(tmp_path / "in.vcf.gz", vcf_text(ROWS))


def refused(answer, message, code=2):
    lines = [line for line in answer.err.splitlines() if line.startswith("megabase: error: ")]
    assert (answer.code, len(lines)) == (code, 1), answer.err
    assert message in lines[0], lines[0]
    return True


def test_every_record_stays_and_each_allele_has_a_score_or_a_reason(
    capsys, model, genome, vcf, tmp_path
):
    output = tmp_path / "out.vcf.gz"
    answer = score(capsys, model, genome, vcf, output)
    assert (answer.code, answer.out) == (0, f"{output}\n")
    lines, before = records(output), vcf_text(ROWS).split("sample\n")[1].splitlines()
    for line, old in zip(lines, before, strict=True):
        new, kept = line.split("\t"), old.split("\t")
        assert new[:7] + new[8:] == kept[:7] + kept[8:]
        assert kept[7] == "." or kept[7] in new[7].split(";")
    found = [info(line) for line in lines]
    assert "MB_EDGE" in found[0]
    assert "MB_EDGE" not in found[1]
    assert found[1]["MB_SKIP"] == ".,.,symbolic,star"
    numbers = found[1]["MB_LLR"].split(",")
    assert numbers[2:] == [".", "."]
    assert all(abs(float(number)) > 0 for number in numbers[:2])
    assert float(found[2]["MB_LLR"]) != 0
    assert not {"MB_LLR", "MB_SKIP"} & found[3].keys()
    assert (found[4]["MB_LLR"], found[4]["MB_SKIP"]) == (".", "ref_mismatch")
    assert [record.pos for record in pysam.VariantFile(str(output)).fetch("chrI", 120, 205)] == [
        150,
        200,
    ]


def test_the_header_records_how_the_scores_were_computed(capsys, model, genome, vcf, tmp_path):
    output = tmp_path / "out.vcf"
    options = ["--window", 32, "--strand", "forward"]
    assert score(capsys, model, genome, vcf, output, *options).code == 0
    text = output.read_text()
    for line in (
        f"##megabase_model=sha256:{weights_sha256(MODEL)}",
        "##megabase_window=32",
        "##megabase_strand=forward",
        "##megabase_command=megabase score-vcf --model",
        "##INFO=<ID=MB_LLR,Number=A,Type=Float,",
        "##INFO=<ID=MB_EDGE,Number=0,Type=Flag,",
    ):
        assert f"\n{line}" in text
    assert json.loads((tmp_path / "out.vcf.megabase.json").read_text())["finished"]


def test_each_option_changes_scores(capsys, model, genome, vcf, tmp_path):
    bodies = set()
    for options in ([], ["--window", 32], ["--strand", "forward"]):
        assert (
            score(capsys, model, genome, vcf, tmp_path / "o.vcf", "--overwrite", *options).code == 0
        )
        bodies.add(tuple(records(tmp_path / "o.vcf")))
    assert len(bodies) == 3


def test_the_form_of_the_input_changes_nothing(capsys, model, genome, vcf, tmp_path):
    assert score(capsys, model, genome, vcf, tmp_path / "o.vcf").code == 0
    expected = records(tmp_path / "o.vcf")
    for name in ("in.gzip", "in.bcf"):
        text = vcf_text(ROWS, vcf_text([]).split("#CHROM")[0] + "##contig=<ID=chrII>\n")
        source = write_vcf_file(tmp_path / name, text)
        assert score(capsys, model, genome, source, tmp_path / "o.vcf", "--overwrite").code == 0
        assert records(tmp_path / "o.vcf") == expected
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("key", "other"), [("device", "cuda"), ("precision", "bfloat16")])
def test_work_of_another_device_or_precision_is_restarted_and_logged(
    capsys, model, genome, vcf, tmp_path, key, other
):
    folder, output = tmp_path / ".o.vcf.parts", tmp_path / "o.vcf"
    assert score(capsys, model, genome, vcf, output, "--device", "cpu").code == 0
    record = json.loads((tmp_path / "o.vcf.megabase.json").read_text())
    assert record["results"]["device"] == "cpu"
    request = record["request"] | {"device": "cpu"} | {key: other}
    Journal(folder, request).append(b"what the other wrote\n", 5)
    answer = score(capsys, model, genome, vcf, output, "--device", "cpu", "--overwrite")
    assert answer.code == 0
    assert f"5 records were done by another request ({key} was '{other}', is " in answer.err
    assert "what the other wrote" not in output.read_text()
    assert len(records(output)) == len(ROWS)


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def number(text):
    return None if text in (".", "") else float(text)


def _rounded(value):
    """Round a number as INFO has it."""
    return value if value is None else float(f"{value:.6g}")


@pytest.mark.parametrize("options", [[], ["--distance"]], ids=["plain", "distance"])
def test_a_table_has_a_row_for_each_alternative_allele(
    capsys, model, genome, vcf, tmp_path, options
):
    for name in ("o.vcf", "o.tsv", "o.parquet"):
        answer = score(capsys, model, genome, vcf, tmp_path / name, *options)
        assert answer.code == 0
        assert ("records without an alternative allele have no row: 1" in answer.err) == (
            name != "o.vcf"
        )
    names = {"MB_LLR": "llr", "MB_LLR_BASE": "llr_per_base", "MB_LLR_FLANK": "llr_flank"}
    names |= {"MB_DIST": "distance"} if options else {}
    expected = []
    for line in records(tmp_path / "o.vcf"):
        contig, position, name, ref, alts = line.split("\t")[:5]
        found = info(line)
        assert ("MB_DIST" in found) == (bool(options) and alts != ".")
        for place, alt in enumerate(alts.split(",") if alts != "." else []):
            skip = found["MB_SKIP"].split(",")[place] if "MB_SKIP" in found else "."
            expected.append({
                "contig": contig, "position_1based": int(position), "id": name, "ref": ref,
                "alt": alt,
                **{to: number(found[of].split(",")[place]) for of, to in names.items()},
                "skip": None if skip == "." else skip, "edge": "MB_EDGE" in found,
            })  # fmt: skip
    kept = parquet.read_table(tmp_path / "o.parquet")
    exact = [row[names[field]] for row in kept.to_pylist() for field in names]
    assert any(value is not None and value != float(f"{value:.6g}") for value in exact)
    assert [
        {key: _rounded(value) if key in names.values() else value for key, value in row.items()}
        for row in kept.to_pylist()
    ] == expected
    assert len(expected) == 4 + 4 + 16
    rows = table(tmp_path / "o.tsv")
    for row_, wanted in zip(rows, expected, strict=True):
        assert list(row_) == list(wanted)
        assert {key: number(row_[key]) for key in names.values()} == {
            key: wanted[key] for key in names.values()
        }
        assert (row_["skip"] or None, row_["edge"]) == (
            wanted["skip"], str(wanted["edge"]).lower(),
        )  # fmt: skip
    assert {row_["skip"] for row_ in rows} == {"", "symbolic", "star", "ref_mismatch"}
    notes = kept.schema.metadata
    assert notes[b"megabase_model"] == f"sha256:{weights_sha256(MODEL)}".encode()
    assert notes[b"megabase_window"] == b"64"
    assert b"score-vcf" in notes[b"megabase_command"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_distance_is_that_of_the_library_and_the_header_describes_it(
    capsys, model, genome, vcf, tmp_path
):
    output = tmp_path / "o.vcf"
    assert score(capsys, model, genome, vcf, output, "--distance").code == 0
    assert '\n##INFO=<ID=MB_DIST,Number=A,Type=Float,Description="Euclidean' in output.read_text()
    contigs = MemoryReference({"chrI": LETTERS, "chrII": LETTERS})
    alt = ROWS[0][3]
    site = Site("chrI", 0, LETTERS[0], (alt,))
    ((effect,),) = score_variants(MODEL, contigs, [site], window=64, with_distance=True)
    assert float(info(records(output)[0])["MB_DIST"]) == pytest.approx(effect.distance, rel=1e-4)
    again = tmp_path / "again.vcf"
    assert score(capsys, model, genome, output, again).code == 0
    assert "MB_DIST" not in again.read_text()


def test_a_bcf_has_the_records_of_the_vcf_and_an_index(capsys, model, genome, vcf, tmp_path):
    """The input declares chrI alone; chrII is declared on the way."""
    for name in ("o.vcf.gz", "o.bcf"):
        assert score(capsys, model, genome, vcf, tmp_path / name, "--distance").code == 0
    assert records(tmp_path / "o.bcf") == records(tmp_path / "o.vcf.gz")
    with pysam.VariantFile(str(tmp_path / "o.bcf")) as file:
        assert [record.pos for record in file.fetch("chrI", 120, 205)] == [150, 200]
        assert len(list(file.fetch("chrII"))) == 16
        assert "##megabase_window=64" in str(file.header)
    assert (tmp_path / "o.bcf.csi").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DP=3", "XX=3", "in.vcf, chrI:1: the header does not declare INFO 'XX', which BCF cannot"),
        ("PASS", "q10", "does not declare FILTER 'q10'"),
        ("GT\t0/1", "GT:AD\t0/1:3", "does not declare FORMAT 'AD'"),
        ("DP=3", "DP=3,x", "INFO 'DP' is declared Integer (32-bit), but is '3,x'"),
        ("DP=3", "DP=1e5", "INFO 'DP' is declared Integer (32-bit), but is '1e5'"),
        ("DP=3", "DP=2147483648", "INFO 'DP' is declared Integer (32-bit), but is '2147483648'"),
        ("DP=3", "DP=-2147483641", "INFO 'DP' is declared Integer"),
        ("DP=3", f"DP={'9' * 5000}", "INFO 'DP' is declared Integer"),
        ("\t50\t", "\thigh\t", "QUAL is not a 32-bit number, 'high'"),
        ("\t50\t", "\t1e39\t", "QUAL is not a 32-bit number, '1e39'"),
        ("0/1", "0/1\t0/1", "the number of columns differs from the header"),
        ("<DEL>,*", "<DEL>,,*", "an allele is empty"),
    ],
)
def test_what_bcf_would_not_hold_is_refused_before_any_work(
    capsys, model, genome, tmp_path, old, new, message
):
    source = write_vcf_file(tmp_path / "in.vcf", vcf_text(ROWS).replace(old, new))
    answer = score(capsys, model, genome, source, tmp_path / "o.bcf")
    assert refused(answer, message)
    assert not [path for path in tmp_path.iterdir() if "o.bcf" in path.name]
    assert score(capsys, model, genome, source, tmp_path / "o.vcf").code == 0


def test_a_description_that_looks_like_attributes_declares_nothing(capsys, model, genome, tmp_path):
    text = vcf_text([row(100)]).replace("DP=3", "DP=3;AF=0.25;NOTE=high")
    lines = [
        '##INFO=<ID=AF,Number=A,Type=Float,Description="as \\"AC/AN\\", not ,ID=XX">',
        '##INFO=<ID=NOTE,Description="a text,Type=Float,say",Number=1,Type=String>',
    ]
    text = text.replace("#CHROM", "\n".join([*lines, "#CHROM"]))
    output = tmp_path / "o.bcf"
    answer = score(capsys, model, genome, write_vcf_file(tmp_path / "in.vcf", text), output)
    assert answer.code == 0, answer.err
    with pysam.VariantFile(str(output)) as file:
        (found,) = file
        assert (found.info["AF"], found.info["NOTE"]) == ((0.25,), "high")
    source = write_vcf_file(tmp_path / "xx.vcf", text.replace("DP=3", "XX=3"))
    answer = score(capsys, model, genome, source, tmp_path / "xx.bcf")
    assert refused(answer, "does not declare INFO 'XX'")


def test_bcf_that_cannot_be_written_is_a_failure_that_keeps_the_work(
    capsys, model, genome, tmp_path
):
    text = vcf_text([row(100)]).replace("0/1", "x/y")
    source = write_vcf_file(tmp_path / "in.vcf", text)
    answer = score(capsys, model, genome, source, tmp_path / "o.bcf")
    assert refused(answer, "BCF could not be written", code=1)
    assert not (tmp_path / "o.bcf").exists()
    assert (tmp_path / ".o.bcf.parts" / "lines").exists()


def test_parquet_without_its_extra_is_refused_before_any_work(
    capsys, model, genome, vcf, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = score(capsys, model, genome, vcf, tmp_path / "o.parquet")
    assert refused(answer, "pip install 'megabase[parquet]'")
    assert "scoring" not in answer.err


def test_a_table_that_breaks_off_is_made_of_what_is_done(
    capsys, model, genome, vcf, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    output = tmp_path / "o.parquet"
    with monkeypatch.context() as patch:
        patch.setattr("megabase.pipelines.score_vcf.write_parquet", full)
        assert refused(score(capsys, model, genome, vcf, output), "No space left", code=1)
    assert not output.exists()
    answer = score(capsys, model, genome, vcf, output)
    assert "22 records are done already" in answer.err
    assert parquet.read_table(output).num_rows == 24


def test_shards_together_are_the_plain_run(capsys, model, genome, vcf, tmp_path):
    parts = []
    for shard in ("1/2", "2/2"):
        output = tmp_path / f"{shard[0]}.vcf.gz"
        options = ["--shard", shard, "--deterministic"]
        assert score(capsys, model, genome, vcf, output, *options).code == 0
        parts.append(records(output))
    output = tmp_path / "o.vcf.gz"
    assert score(capsys, model, genome, vcf, output, "--deterministic").code == 0
    plain = records(tmp_path / "o.vcf.gz")
    assert (parts[0], parts[1]) == (plain[0::2], plain[1::2])


def test_scoring_a_scored_file_again_gives_the_same(capsys, model, genome, vcf, tmp_path):
    assert score(capsys, model, genome, vcf, tmp_path / "a.vcf").code == 0
    assert score(capsys, model, genome, tmp_path / "a.vcf", tmp_path / "b.vcf").code == 0
    texts = [(tmp_path / name).read_text().splitlines() for name in ("a.vcf", "b.vcf")]
    first, second = (
        [line for line in text if not line.startswith("##megabase_command")] for text in texts
    )
    assert first == second


def test_the_same_request_is_answered_once_and_another_refused(
    capsys, model, genome, vcf, tmp_path
):
    output = tmp_path / "o.vcf"
    assert score(capsys, model, genome, vcf, output).code == 0
    before = output.stat().st_mtime_ns
    again = score(capsys, model, genome, vcf, output)
    assert (again.code, output.stat().st_mtime_ns) == (0, before)
    assert refused(score(capsys, model, genome, vcf, output, "--window", 32), "window was 64")


def test_another_genome_or_map_is_another_request(capsys, model, genome, vcf, tmp_path):
    output = tmp_path / "o.vcf"
    assert score(capsys, model, genome, vcf, output).code == 0
    other = {"chrI": LETTERS, "chrII": LETTERS[:-1] + "N"}
    other = toys.write_fasta(tmp_path / "other.fa", other)
    assert refused(score(capsys, model, other, vcf, output), "another request (genome was")
    (tmp_path / "map").write_text("x chrI\n")
    options = ["--chrom-map", tmp_path / "map"]
    answer = score(capsys, model, genome, vcf, output, *options)
    assert refused(answer, "another request (contigs.x was not given, is 'chrI')")


def test_contigs_of_other_names_are_mapped_and_keep_theirs(capsys, model, genome, tmp_path):
    source = write_vcf_file(tmp_path / "in.vcf", vcf_text([row(100, contig="1")]))
    output = tmp_path / "o.vcf.gz"
    assert refused(score(capsys, model, genome, source, output), "--chrom-map FILE")
    assert not output.exists()
    (tmp_path / "map").write_text("1 chrI\n")
    options = ["--chrom-map", tmp_path / "map"]
    assert score(capsys, model, genome, source, output, *options).code == 0
    assert records(output)[0].startswith("1\t100\t")


ODD = {
    ("chrI", 0, "N", "]chrI:50]", "DP=1"): "symbolic",
    ("chrI", 0, "A", "T,<DEL>", "DP=1"): "outside,symbolic",
    ("chrI", 5, "R", "<NON_REF>", "DP=1"): "symbolic",
    ("chrI", 398, LETTERS[397:] + "A", "G", "DP=1"): "outside",
    ("chrI", 401, "N", "[chrI:50[", "DP=1"): "symbolic",
    ("chrI", 20_000, "A", "T", "DP=1"): "outside",
    ("chrI", 600_000_000, "A", "*,T", "DP=1"): "star,outside",
    ("MT", 7, "A", "T", "DP=1"): "no_contig",
    ("#MT", 7, "A", "T", "DP=1"): "no_contig",
}


@pytest.mark.parametrize("name", ["o.vcf", "o.vcf.gz", "o.bcf", "o.tsv"])
def test_a_record_that_is_not_in_the_genome_is_kept_and_skipped_with_its_reason(
    capsys, model, genome, tmp_path, name
):
    rows = [*list(ODD)[:3], row(100), row(150), *list(ODD)[3:]]
    source = write_vcf_file(tmp_path / "in.vcf", vcf_text(rows))
    answer = score(capsys, model, genome, source, tmp_path / name)
    assert answer.code == 0, answer.err
    assert "2 of 11 records are on 2 contigs that " in answer.err
    if name == "o.tsv":
        found = [row_["skip"] for row_ in table(tmp_path / name)]
        assert found == [text for each in rows for text in ODD.get(each, "").split(",")]
    else:
        found = [info(line) for line in records(tmp_path / name)]
        assert [each.get("MB_SKIP", "") for each in found] == [ODD.get(each, "") for each in rows]
        assert [line.split("\t")[:2] for line in records(tmp_path / name)] == [
            [each[0], str(each[1])] for each in rows
        ]
    results = json.loads((tmp_path / f"{name}.megabase.json").read_text())["results"]
    skipped = {"no_contig": 2, "outside": 4, "star": 1, "symbolic": 4}
    assert (results["n_alleles"], results["n_skipped"]) == (13, skipped)
    text = "11 (outside 4; symbolic 4; no_contig 2; star 1)"
    assert f"13 alternative alleles; skipped: {text}" in answer.err
    if name == "o.vcf":
        header = (tmp_path / name).read_text()
        assert f"\n##megabase_alleles=13\n##megabase_skipped={text}\n" in header
    if name == "o.vcf.gz":
        with pysam.VariantFile(str(tmp_path / name)) as file:
            assert [each.pos for each in file.fetch("chrI", 120, 700_000_000)] == [
                150, 398, 401, 20_000, 600_000_000,
            ]  # fmt: skip
    assert ("o.bcf has no index" in answer.err) == (name == "o.bcf")  # htslib and POS 0 twice


def test_a_bcf_with_a_record_beyond_its_contig_can_be_queried_by_region(
    capsys, model, genome, tmp_path
):
    far = [("chrI", position, "A", "T", "DP=1") for position in (20_000, 600_000_000)]
    source = write_vcf_file(tmp_path / "in.vcf", vcf_text([row(100), *far]))
    assert score(capsys, model, genome, source, tmp_path / "o.bcf").code == 0
    with pysam.VariantFile(str(tmp_path / "o.bcf")) as file:
        assert [each.pos for each in file.fetch("chrI", 500, 700_000_000)] == [20_000, 600_000_000]
    vcf_text_beyond = vcf_text([row(100), ("chrI", 2_000_000_000, "A", "T", "DP=1")])
    write_vcf_file(source, vcf_text_beyond)
    answer = score(capsys, model, genome, source, tmp_path / "o.bcf", "--overwrite")
    assert answer.code == 0
    assert "o.bcf has no index, because no format supports all of its records" in answer.err
    assert len(records(tmp_path / "o.bcf")) == 2
    assert not (tmp_path / "o.bcf.csi").exists()


@pytest.mark.parametrize("declared", ["", "Number=1,Type=Integer", "Number=A"])
@pytest.mark.parametrize("name", ["o.vcf", "o.bcf"])
def test_fields_of_ours_are_replaced_however_they_are_declared(
    capsys, model, genome, tmp_path, declared, name
):
    lines = f'##INFO=<{declared},ID=MB_LLR,Description="of old">\n' if declared else ""
    text = vcf_text([row(100, info="MB_LLR=old;DP=3;MB_SKIP;MB_EDGE=x")])
    source = write_vcf_file(tmp_path / "in.vcf", text.replace("#CHROM", f"{lines}#CHROM"))
    answer = score(capsys, model, genome, source, tmp_path / name)
    assert answer.code == 0, answer.err
    (line,) = records(tmp_path / name)
    assert list(info(line)) == ["DP", "MB_LLR", "MB_LLR_BASE", "MB_LLR_FLANK"]
    assert float(info(line)["MB_LLR"]) != 0
    header = pysam.bcftools.view("-h", str(tmp_path / name))
    assert header.count("ID=MB_LLR,") == 1
    assert "of old" not in header


def test_a_position_that_is_not_a_number_is_kept_where_the_form_can_hold_it(
    capsys, model, genome, tmp_path
):
    text = vcf_text([row(100), ("chrI", "one", "A", "T", "DP=3"), row(5)])
    source = write_vcf_file(tmp_path / "in.vcf", text)
    for name in ("o.vcf", "o.tsv", "o.parquet"):
        assert score(capsys, model, genome, source, tmp_path / name).code == 0
    lines = (tmp_path / "o.vcf").read_text().splitlines()[-3:]
    assert lines[1].startswith("chrI\tone\trs1\tA\tT\t50\tPASS\tDP=3;MB_LLR=.;")
    rows = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert [(each["position_1based"], each["skip"]) for each in rows] == [
        (100, None), (None, "outside"), (5, None),
    ]  # fmt: skip
    write_vcf_file(source, vcf_text([row(5), *[("chrI", "one", "A", "T", "DP=3")], row(100)]))
    answer = score(capsys, model, genome, source, tmp_path / "o.vcf.gz")
    assert (answer.code, "has no index" in answer.err) == (0, True)
    assert "chrI:one is not a position" in answer.err
    assert not (tmp_path / "o.vcf.gz.tbi").exists()
    answer = score(capsys, model, genome, source, tmp_path / "o.bcf")
    assert refused(
        answer, "chrI:one: POS is not a whole number up to 2,147,483,647, 'one', which BCF"
    )


def test_a_file_without_records_gives_one_without_records(capsys, model, genome, tmp_path):
    source = write_vcf_file(tmp_path / "in.vcf", vcf_text([]))
    assert score(capsys, model, genome, source, tmp_path / "o.vcf.gz").code == 0
    assert records(tmp_path / "o.vcf.gz") == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("in.vcf", "chrI\t1\t.\tA\tT\t.\t.\t.\n", "has no VCF header"),
        ("in.vcf", vcf_text([row(9), row(5)]), "is not sorted: chrI:5"),
        ("in.vcf", vcf_text([("chrI", 401, "A", "T", ".")]), "ends beyond its contig"),
        (
            "in.vcf",
            vcf_text([("chrI", "five", "A", "T", ".")]),
            "no record has a whole number as POS",
        ),
        ("in.vcf", vcf_text([(*row(5)[:2], row(5)[3], "<DEL>", ".")]), "have the same assembly"),
        ("none.vcf", None, "none.vcf does not exist"),
    ],
)
def test_a_bad_vcf_gets_one_line_and_leaves_nothing(
    capsys, model, genome, tmp_path, name, text, message
):
    if text is not None:
        write_vcf_file(tmp_path / name, text)
    output = tmp_path / "o.vcf.gz"
    assert refused(score(capsys, model, genome, tmp_path / name, output), message)
    assert not [path for path in tmp_path.iterdir() if "o.vcf" in path.name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", 65], "context of 64; got 65"),
        (["--strand", "both"], "the strand must be one of average, forward"),
        (["--shard", "3/2"], "a shard must be i/n"),
        (
            ["--output", "o.csv"],
            "must end in one of .vcf, .vcf.gz, .bcf, .tsv, .parquet; got o.csv",
        ),
        (["--chrom-map", "none"], "there is no file none"),
    ],
)
def test_an_option_that_cannot_be_honoured(capsys, model, genome, vcf, tmp_path, options, message):
    assert refused(score(capsys, model, genome, vcf, tmp_path / "o.vcf", *options), message)


def test_a_truncated_file_and_an_output_that_is_an_input(capsys, model, genome, vcf, tmp_path):
    whole = vcf.read_bytes()
    assert refused(score(capsys, model, genome, vcf, vcf), "is an input of this command")
    assert vcf.read_bytes() == whole
    vcf.write_bytes(whole[:-28])
    assert refused(score(capsys, model, genome, vcf, tmp_path / "o.vcf"), "end marker is missing")


def test_a_genome_with_an_odd_letter_stops_the_work_and_leaves_nothing(
    capsys, model, vcf, tmp_path
):
    odd = LETTERS[:210] + "X" + LETTERS[211:]
    genome = toys.write_fasta(tmp_path / "odd.fa", {"chrI": LETTERS, "chrII": odd})
    answer = score(capsys, model, genome, vcf, tmp_path / "o.vcf")
    assert refused(answer, "'X' at position 210 (counted from 0) of chrII")
    assert not [path for path in tmp_path.iterdir() if "o.vcf" in path.name]


def test_a_model_that_has_diverged_is_a_failure(capsys, genome, vcf, tmp_path):
    broken = toys.model()
    broken.backbone.norm.weight.data[0] = torch.nan
    save(broken, tmp_path / "broken")
    answer = score(capsys, tmp_path / "broken", genome, vcf, tmp_path / "o.vcf")
    assert refused(answer, "the model's output is NaN", code=1)
    assert not (tmp_path / "o.vcf").exists()


def test_a_run_that_is_killed_goes_on_with_the_same_records(capsys, model, genome, tmp_path):
    rows = [row(position % 20 + 150) for position in range(512)]
    source = write_vcf_file(tmp_path / "in.vcf", vcf_text(rows))
    output = tmp_path / "o.vcf"
    options = ["--model", model, "--genome", genome, "--input", source, "--output", output]
    command = [sys.executable, "-m", "megabase", "score-vcf", *map(str, options)]
    note = tmp_path / ".o.vcf.parts" / "done.json"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not note.exists() and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert 0 < json.loads(note.read_text())["n_records"] < 512
    assert not output.exists()
    with (note.parent / "lines").open("ab") as file:
        file.write(b"chrI\thalf a li")
    answer = score(capsys, model, genome, source, output)
    assert answer.code == 0
    assert "records are done already" in answer.err
    assert not note.parent.exists()
    assert score(capsys, model, genome, source, tmp_path / "plain.vcf").code == 0
    assert records(output) == records(tmp_path / "plain.vcf")
    assert len(records(output)) == 512


def test_two_processes_do_not_write_one_output(capsys, model, genome, vcf, tmp_path):
    with exclusive_lock(tmp_path / "o.vcf", is_folder=False):
        answer = score(capsys, model, genome, vcf, tmp_path / "o.vcf")
    assert refused(answer, "another process is writing")


def test_a_file_that_loses_records_while_it_is_read_gives_no_output(
    capsys, model, genome, vcf, tmp_path, monkeypatch
):
    original = module.survey

    def survey_then_cut(*arguments, **keys):
        found = original(*arguments, **keys)
        write_vcf_file(vcf, vcf_text(ROWS[:3]))
        return found

    monkeypatch.setattr(module, "survey", survey_then_cut)
    answer = score(capsys, model, genome, vcf, tmp_path / "o.vcf")
    assert refused(answer, f"changed while it was read: expected {len(ROWS)} records, got 3")
    assert not [path for path in tmp_path.iterdir() if "o.vcf" in path.name]
