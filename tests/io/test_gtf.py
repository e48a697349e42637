"""Exons of GTF and GFF3 become transcripts, or an error that names the line."""

import gzip

import pytest

from megabase.genome.interval import Interval
from megabase.genome.reference import Transcript
from megabase.io.annotation import is_gtf, read_transcripts

GTF = """#!genome-build X
chrI\tx\tgene\t3\t20\t.\t+\t.\tgene_id "g1";
chrI\tx\texon\t3\t5\t.\t+\t.\tgene_id "g;1"; transcript_id "t1"; exon_number 1;
chrI\tx\tCDS\t4\t5\t.\t+\t0\tgene_id "g1"; transcript_id "t1";
chrI\tx\texon\t11\t12\t.\t+\t.\ttranscript_id "t1"
chrII\tx\texon\t31\t40\t.\t-\t.\tgene_id "g2"; transcript_id "t2";
chrII\tx\texon\t11\t20\t.\t-\t.\tgene_id "g2"; transcript_id "t2";
"""
GFF3 = """##gff-version 3
chrI\tx\tmRNA\t3\t12\t.\t+\t.\tID=transcript:t1;Parent=gene:1;transcript_id=t1
chrI\tx\texon\t3\t5\t.\t+\t.\tParent=transcript:t1,rna%2C2;ID=e1
chrI\tx\texon\t11\t12\t.\t+\t.\tParent=transcript:t1
##FASTA
>chrI
ACGT
"""
T1 = Transcript("t1", (Interval("chrI", 2, 5), Interval("chrI", 10, 12)))
T2 = Transcript("t2", (Interval("chrII", 10, 20, "-"), Interval("chrII", 30, 40, "-")))


@pytest.mark.parametrize("name", ["a.gtf", "a.GTF", "a.gtf.gz"])
def test_exons_of_gtf_are_grouped_in_the_order_of_the_genome(tmp_path, name):
    text = GTF.encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert is_gtf(tmp_path / name)
    assert read_transcripts(tmp_path / name) == [T1, T2]


def test_exons_of_gff3_are_of_each_of_their_parents(tmp_path):
    (tmp_path / "a.gff3").write_text(GFF3)
    assert read_transcripts(tmp_path / "a.gff3") == [
        T1, Transcript("rna,2", (Interval("chrI", 2, 5),)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "\t11\t12",
            "\tx\t12",
            "line 5: expected whole numbers as start and end, got 'x'",
        ),
        ("\t11\t12", "\t0\t12", "line 5: an interval needs 0 <= start < end"),
        ("\t11\t12", "\t5\t12", "a.gtf: the exons chrI:.* of 't1' overlap"),
        ("12\t.\t+", "12\t.\t?", r"line 5: a strand is .* got '\?'"),
        ("12\t.\t+", "12\t.\t-", "the exons of 't1' are on chrI .*expected one contig and strand"),
        ('transcript_id "t1"\n', 'gene "t1"\n', "line 5: the exon has no transcript"),
        ("\t.\ttranscript_id", "\ttranscript_id", "line 5: expected nine columns .* got 8"),
        ("\texon\t", "\tother\t", "a.gtf has no exon"),
    ],
)
def test_a_line_that_is_not_an_exon_of_a_transcript_is_an_error(tmp_path, old, new, message):
    (tmp_path / "a.gtf").write_text(GTF.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_transcripts(tmp_path / "a.gtf")
