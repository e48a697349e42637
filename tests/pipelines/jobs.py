"""A job of each verb, which the tests of interruption, of batches and of merging run."""

from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
)
from megabase.model.load import save
from megabase.pipelines.embed import embed
from megabase.pipelines.generate import generate
from megabase.pipelines.mutagenesis import mutagenesis
from megabase.pipelines.predict import predict
from megabase.pipelines.score import score
from megabase.pipelines.score_vcf import score_vcf
from megabase.pipelines.tracks import tracks
from tests import toys
from tests.vcf_files import vcf_text, write_vcf_file

CONTIGS = {"chrI": toys.letters(300), "a": toys.letters(150, seed=1) + "NNN"}
SEQUENCES = {f"s{i}": toys.letters(12 + 7 * i % 50, seed=i) for i in range(11)}


def write_files(folder, **keys):
    """Write models with these keys, and files that the jobs read."""
    save(toys.model(**keys), folder / "model")
    for name, kind in (
        ("classes", HyenaDNAForSequenceClassification),
        ("bases", HyenaDNAForTokenClassification),
    ):
        kind(toys.config(num_labels=3, **keys)).eval().save_pretrained(folder / name)
    toys.write_fasta(folder / "g.fa", CONTIGS)
    toys.write_fasta(folder / "s.fa", SEQUENCES)
    long = {"x": toys.letters(200, seed=3), "y": toys.letters(9), "z": toys.letters(101, seed=4)}
    toys.write_fasta(folder / "long.fa", long)
    intervals = [
        ("chrI", 5, 50, "+"),
        ("chrI", 60, 90, "-"),
        ("a", 100, 153, "-"),
        ("a", 0, 9, "+"),
    ]
    lines = [f"{c}\t{s}\t{e}\tn{i}\t0\t{d}\n" for i, (c, s, e, d) in enumerate(intervals)]
    (folder / "r.bed").write_text("".join(lines))
    few = "chrI\t5\t17\tn0\nchrI\t60\t70\tn1\t0\t-\na\t145\t153\tn2\t0\t-\na\t0\t5\tn3\n"
    (folder / "few.bed").write_text(few)  # each base of mutagenesis is eight windows
    (folder / "twice.bed").write_text("chrI\t5\t11\tx\nchrI\t5\t11\ty\na\t140\t153\tz\n" * 2)
    write_vcf_file(folder / "v.vcf", vcf_text(list(variants())))
    return folder


def variants():
    """Yield rows of a VCF: with all alternative bases or none, and then of many kinds."""
    kinds = ["A,C,G,T", "T", ".", "<DEL>", "C,G", "*", "TTT"]
    for i in range(13):
        ref = CONTIGS["chrI"][20 + 20 * i]
        others = ",".join(base for base in "ACGT" if base != ref)
        many = [alt for alt in kinds[i % 7].split(",") if alt != ref] or ["."]
        for alt in (others if i % 4 else ".", ",".join(many)):
            yield "chrI", 21 + 20 * i, ref, alt, "DP=1"


def run_job(job, files, output, options, **more):  # noqa: C901 one case for each verb
    """Run the verb of a job; `more` are further options of the verb."""
    model, genome = str(files / "model"), str(files / "g.fa")
    given = {"options": options, **more}
    match job:
        case "score" | "score track":
            score(model, str(files / "r.bed"), output, genome=genome, strand="average", **given)
        case "score windows":
            score(model, str(files / "long.fa"), output, stride=20, strand="average", **given)
        case "score-vcf":
            score_vcf(model, genome, str(files / "v.vcf"), output, **{"distance": True, **given})
        case "embed":
            embed(model, str(files / "long.fa"), output, pooling="window:8", stride=32, **given)
        case "embed sequences":
            embed(model, str(files / "s.fa"), output, **given)
        case "embed alleles":
            embed(model, str(files / "v.vcf"), output, genome=genome, **given)
        case "mutagenesis":
            mutagenesis(model, genome, files / "few.bed", output, window=16, **given)
        case "mutagenesis twice":
            mutagenesis(model, genome, files / "twice.bed", output, window=16, **given)
        case "tracks":
            tracks(model, genome, output, stride=32, **given)
        case "predict":
            predict(str(files / "classes"), files / "s.fa", output, strand="average", **given)
        case "predict bases":
            predict(str(files / "bases"), files / "s.fa", output, **given)
        case "generate":
            generate(model, output, length=2, prompt=files / "s.fa", forbid=["GAATTC"], **given)


JOBS = [
    ("score", ".tsv"),
    ("score track", ".bedgraph"),
    ("score windows", ".tsv"),
    ("score-vcf", ".vcf"),
    ("score-vcf", ".tsv"),
    ("embed", ".npz"),
    ("embed alleles", ".npz"),
    ("mutagenesis", ".tsv"),
    ("tracks", ".bedgraph"),
    ("predict", ".csv"),
    ("predict bases", ".tsv"),
    ("generate", ".fa"),
]

REMEMBERING_JOBS = [
    ("score windows", ".tsv"),
    ("score-vcf", ".vcf"),
    ("embed", ".npz"),
    ("tracks", ".bedgraph"),
    ("predict bases", ".tsv"),
]
"""Jobs that are also run with models that have a memory."""


def without_command(path):
    """Return the lines of a file, without the command in its header."""
    lines = path.read_bytes().split(b"\n")
    return [line for line in lines if not line.startswith(b"##megabase_command=")]
