"""What would fail later is refused before any work is done."""

import pytest

from megabase.genome.reference import MemoryReference
from megabase.io.vcf import VcfFile
from megabase.jobs.vcf_survey import survey
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
    assert found == (4, 5, 1, {"chrI": 400, "chrII": 400})


def test_a_contig_of_another_name_is_named_with_its_mend(tmp_path):
    rows = [row(5, contig="I")]
    with pytest.raises(ValueError, match=r"'I' of .* did you mean 'chrI'\?; --chrom-map FILE"):
        look(tmp_path, rows)
    assert look(tmp_path, rows, contigs={"I": "chrI"}).n_records == 1


@pytest.mark.parametrize("position", [401, 9000])
def test_a_record_beyond_its_contig_is_an_error(tmp_path, position):
    with pytest.raises(ValueError, match=f"chrI:{position}: .* ends beyond its contig"):
        look(tmp_path, [("chrI", position, "A", "T", ".")])


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
    with pytest.raises(ValueError, match=r"3 of the first 5 .* of another assembly"):
        look(tmp_path, [row(1), row(2), other(3), other(4), other(5)])
    assert look(tmp_path, [row(1), row(2), other(3), other(4)]).n_records == 4


def test_only_the_first_thousand_alleles_are_compared(tmp_path):
    many = [row(9)] * 1000 + [other(9)] * 1500
    assert look(tmp_path, many).n_records == 2500
    with pytest.raises(ValueError, match="1,000 of the first 1,000"):
        look(tmp_path, many[::-1])


def test_a_genome_letter_of_no_certainty_is_not_compared(tmp_path):
    assert look(tmp_path, [("chrI", 5, "N", "<DEL>", ".")]).n_records == 1


def test_the_order_is_that_of_the_names_in_the_file_which_the_index_has(tmp_path):
    rows = [row(5, contig="I"), row(6), row(7, contig="I")]
    with pytest.raises(ValueError, match="is not sorted: I:7"):
        look(tmp_path, rows, contigs={"I": "chrI"})
    rows = [row(9, contig="I"), row(5)]
    assert look(tmp_path, rows, contigs={"I": "chrI"}).n_records == 2
