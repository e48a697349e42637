"""What would fail later is refused before any work is done."""

import pytest

from megabase.genome.reference import MemoryReference
from megabase.io.vcf import VcfFile
from megabase.pipelines.variant_table import survey
from tests import toys
from tests.vcf_files import vcf_text, write_vcf_file

LETTERS = toys.letters(400)
GENOME = MemoryReference({"chrI": LETTERS, "chrII": LETTERS})


def look(tmp_path, rows, *, contigs=None, needs_order=True):
    vcf = VcfFile(write_vcf_file(tmp_path / "a.vcf", vcf_text(rows)))
    return survey(vcf, GENOME, contigs or {}, needs_order=needs_order)


def row(position, alt="<DEL>", contig="chrI"):
    return contig, position, LETTERS[position - 1], alt, "."


def other(position, contig="chrI"):
    wrong = "A" if LETTERS[position - 1] != "A" else "C"
    return contig, position, wrong, "<DEL>", "."


def test_records_and_alleles_are_counted(tmp_path):
    found = look(tmp_path, [row(5), row(5, "<DEL>,*,G"), row(9, "."), row(1, contig="chrII")])
    assert found == (4, 5, 1, {"chrI": 400, "chrII": 400}, 9, "", 0)


def test_an_unknown_contig_is_an_error_with_a_remedy(tmp_path):
    rows = [row(5, contig="I")]
    with pytest.raises(
        ValueError, match=r"'I' of .* did you mean 'chrI'\?; if names differ, give --chrom-map FILE"
    ):
        look(tmp_path, rows)
    assert look(tmp_path, rows, contigs={"I": "chrI"}).n_records == 1


@pytest.mark.parametrize(
    "odd",
    [
        ("chrI", 0, "N", "]chrI:5]", "."),
        ("chrI", 401, "N", "[chrI:5[", "."),
        ("chrI", 0, "A", "T", "."),
        ("chrI", 9_000, "A", "T", "."),
        ("chrI", 399, "ACGT", "A", "."),
        ("chrI", "one", "A", "T", "."),
        ("chrI", 5, "", "T", "."),
        ("chrI", 5, "R", "<DEL", "."),
        ("MT", 5, "A", "T", "."),
        ("#chrI", 5, "A", "T", "."),
        ("", 5, "A", "T", "."),
    ],
)
def test_no_single_record_causes_the_file_to_be_refused(tmp_path, odd):
    found = look(tmp_path, [row(5), odd, row(9)], needs_order=False)
    assert (found.n_records, found.n_alts) == (3, 3)


def test_contigs_that_the_genome_lacks_are_named_and_counted_in_one_line(tmp_path, caplog):
    rows = [row(5), *[row(n, contig="MT") for n in (1, 2)], row(5, contig="chrI_alt"), row(9)]
    found = look(tmp_path, rows, needs_order=False)
    assert found.contigs == {"chrI": 400, "MT": None, "chrI_alt": None}
    assert "3 of 5 records are on 2 contigs that the genome in memory lacks" in caplog.text
    assert "'MT' (2), 'chrI_alt' (1); --chrom-map FILE" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("position", [0, 401, 9000])
def test_a_file_without_any_record_within_the_genome_is_refused(tmp_path, position):
    odd = ("chrI", position, "A", "T", ".")
    with pytest.raises(ValueError, match=f"chrI:{position}, .* ends beyond its contig"):
        look(tmp_path, [odd, ("chrI", 500, "N", "<DEL>", ".")], needs_order=False)
    assert look(tmp_path, [row(5), *[odd] * 3], needs_order=False).n_records == 4
    telomeres = [("chrI", 0, "N", "]chrI:5]", "."), ("chrI", 401, "N", "[chrI:5[", ".")]
    assert look(tmp_path, telomeres).n_records == 2


def test_a_file_without_a_position_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no record has a whole number as POS; .* is chrI:A"):
        look(tmp_path, [("chrI", "A", "A", "T", ".")], needs_order=False)


@pytest.mark.parametrize("position", ["one", (1 << 40) + 1, "9" * 5000, ""])
def test_a_position_that_no_index_holds_is_named(tmp_path, position):
    rows = [row(5), ("chrI", position, "A", "T", "."), row(6)]
    found = look(tmp_path, rows if isinstance(position, str) else rows[:2])
    assert found.not_in_index == f"chrI:{position}"


def test_the_code_of_an_ambiguous_letter_is_its_first_base_for_the_assembly_too(tmp_path):
    genome = MemoryReference({"chrI": "RYSWKMBDHV" + LETTERS})
    rows = [("chrI", n, ref, "<DEL>", ".") for n, ref in enumerate("ACCAGACAAA", start=1)]
    vcf = VcfFile(write_vcf_file(tmp_path / "a.vcf", vcf_text(rows)))
    assert survey(vcf, genome, {}, needs_order=True).n_records == 10


@pytest.mark.parametrize(
    ("info", "furthest"),
    [
        (".", 9),
        ("END=70", 70),
        ("SVEND=70", 9),
        ("DP=1;SVLEN=-30,.;END=2", 39),
        ("END=x", 9),
        ("SVLEN=" + "9" * 5000, 9),
    ],
)
def test_how_far_records_reach_is_what_an_index_takes_them_to_cover(tmp_path, info, furthest):
    assert look(tmp_path, [row(5), (*row(9)[:4], info)]).furthest == furthest


def test_a_record_that_ends_where_no_index_reaches_is_named(tmp_path):
    assert look(tmp_path, [row(5), row(9)]).not_in_index == ""
    rows = [row(5), (*row(9)[:4], "END=2000000000000")]
    assert look(tmp_path, rows).not_in_index == "chrI:9"


def test_empty_lines_are_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    vcf = VcfFile(write_vcf_file(tmp_path / "a.vcf", vcf_text([row(5)]) + "\n\n"))
    assert survey(vcf, GENOME, {}, needs_order=True).n_records == 1
    assert "a.vcf: 2 empty lines left out" in caplog.text


@pytest.mark.parametrize(
    "rows",
    [[row(9), row(5)], [row(9), row(5, contig="chrII"), row(12)]],
    ids=["position", "contig"],
)
def test_records_out_of_order_are_refused_where_an_index_is_wanted(tmp_path, rows):
    with pytest.raises(ValueError, match="is not sorted: chrI:"):
        look(tmp_path, rows)
    assert look(tmp_path, rows, needs_order=False).n_records == len(rows)


def test_a_genome_of_another_assembly_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"3 of the first 5 .* have the same assembly"):
        look(tmp_path, [row(1), row(2), other(3), other(4), other(5)])
    assert look(tmp_path, [row(1), row(2), other(3), other(4)]).n_records == 4


def test_only_the_first_thousand_alleles_are_compared(tmp_path):
    many = [row(9)] * 1000 + [other(9)] * 1500
    assert look(tmp_path, many).n_records == 2500
    with pytest.raises(ValueError, match="1,000 of the first 1,000"):
        look(tmp_path, many[::-1])


def test_an_ambiguous_genome_letter_is_not_compared(tmp_path):
    assert look(tmp_path, [("chrI", 5, "N", "<DEL>", ".")]).n_records == 1


def test_the_order_is_that_of_the_names_in_the_file_which_the_index_has(tmp_path):
    rows = [row(5, contig="I"), row(6), row(7, contig="I")]
    with pytest.raises(ValueError, match="is not sorted: I:7"):
        look(tmp_path, rows, contigs={"I": "chrI"})
    rows = [row(9, contig="I"), row(5)]
    assert look(tmp_path, rows, contigs={"I": "chrI"}).n_records == 2
