"""Biotypes of genes from frozen embeddings."""

from megabase.metrics.results import Published
from megabase.tasks.genomic_benchmarks import HYENADNA
from megabase.tasks.task import Task, TaskSource

_PAPER = f"{HYENADNA}, Tab. 4.4 and A.9"

BIOTYPES = (
    Task(
        name="biotypes/human",
        title="the ten most frequent biotypes of human genes",
        kind="multiclass",
        metric="f1_weighted",
        source=TaskSource(_PAPER, url="https://www.ensembl.org", licence="Ensembl: no restriction"),
        layout="genes",
        folders=("biotypes", "human", "genomes/human"),
        files={"genome": "chr20_grch37.fa*", "genes": "annotation_grch37/genes.tsv*"},
        label_columns=("gene_type",),
        aliases={"chr20": "20"},
        chunks=True,
        published=(
            Published("DNABERT 110M (5-mer, 512)", 0.646, "f1_weighted", "frozen", _PAPER),
            Published("NT 500M (6k)", 0.665, "f1_weighted", "frozen", _PAPER),
            Published("HyenaDNA 8x256 (160k)", 0.720, "f1_weighted", "frozen", _PAPER),
        ),
        notes=(
            "in the paper: the mean of the last layer over positions, averaged over chunks for "
            "longer genes; then 1,000 boosted trees of depth 3 at rate 0.1, and a t-SNE figure",
            "neither rows nor split are published, so no result is comparable with these numbers",
            "rows are prepared from one chromosome: genes on their own strand, of the ten most "
            "frequent biotypes with at least 20 genes; the last tenth is the test split, the tenth "
            "before it the validation split; genes that cross a boundary are skipped",
            "measured with --probes on frozen embeddings, with k-mers and the majority as "
            "baselines: genes are longer than the context, and neither adapted models nor the CNN "
            "read chunks",
            "the length of a gene is a strong predictor of its biotype: see leaks and shortcuts",
        ),
    ),
)  # fmt: skip
