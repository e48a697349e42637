"""Biotypes of genes from frozen embeddings."""

from megabase.evaluation.tasks.genomic_benchmarks import HYENADNA
from megabase.evaluation.tasks.task import Source, Task
from megabase.measure.published import Published

_PAPER = f"{HYENADNA}, Tab. 4.4 and A.9"

BIOTYPES = (
    Task(
        name="biotypes/human",
        title="the ten most frequent biotypes of human genes",
        kind="multiclass",
        metric="f1_weighted",
        source=Source(_PAPER, url="https://www.ensembl.org", licence="Ensembl: no restriction"),
        folders=("biotypes",),
        published=(
            Published("DNABERT 110M (5-mer, 512)", 0.646, "f1_weighted", "frozen", _PAPER),
            Published("NT 500M (6k)", 0.665, "f1_weighted", "frozen", _PAPER),
            Published("HyenaDNA 8x256 (160k)", 0.720, "f1_weighted", "frozen", _PAPER),
        ),
        notes=(
            "embedding: the mean over positions of the last layer, longer genes in chunks that are "
            "averaged; then 1,000 boosted trees of depth 3 at rate 0.1, and a t-SNE figure",
            "neither rows nor split are published: no result stands beside these numbers",
        ),
    ),
)  # fmt: skip
