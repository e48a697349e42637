"""Chromatin profiles: the 919 labels of DeepSEA, in three groups."""

from megabase.metrics.results import Published
from megabase.tasks.genomic_benchmarks import HYENADNA
from megabase.tasks.task import LabelGroup, Task, TaskSource

_SOURCE = TaskSource(
    paper="Zhou & Troyanskaya 2015, Nature Methods 12:931 (DeepSEA)",
    url="http://deepsea.princeton.edu",
    licence="none stated for the rows; labels of ENCODE and Roadmap Epigenomics",
)

LABEL_GROUPS = (LabelGroup("DHS", 0, 125), LabelGroup("TF", 125, 815), LabelGroup("HM", 815, 919))
"""DNase sites, transcription factors, histone marks: the order of DeepSEA's files."""

_PAPER = f"{HYENADNA}, chromatin profiles, and A.8"
_NUMBERS = {
    # input length in bp: (model, TF, DHS, HM), median AUROC in percent
    1000: (
        ("DeepSEA CNN 40M", 95.8, 92.3, 85.6),
        ("HyenaDNA 8x256, context 1k, mean pool", 96.4, 93.0, 86.3),
    ),
    8000: (
        ("BigBird 110M (BPE)", 96.1, 92.1, 88.7),
        ("HyenaDNA 4x256, context 32k, last token", 95.5, 91.7, 89.3),
    ),
}

_NOTES = (
    "labels refer to the central 200 bp; the test rows are those of chromosomes 8 and 9",
    "the published rows are on hg38, after a LiftOver that lost about 0.5 %",
    "the paper selected models on the test rows; AUROC is the median over those labels of a group "
    "that have both values among the rows",
)


def _published(length: int) -> tuple[Published, ...]:
    return tuple(
        Published(model, round(value / 100, 6), "auroc_median", "paper", _PAPER, part=part)
        for model, *values in _NUMBERS[length]
        for part, value in zip(("TF", "DHS", "HM"), values, strict=True)
    )


CHROMATIN_PROFILE = tuple(
    Task(
        name=f"chromatin_profile/{length // 1000}k",
        title=f"919 chromatin labels from {length:,} bp",
        kind="multilabel",
        metric="auroc_median",
        source=_SOURCE,
        layout="deepsea",
        folders=("chromatin_profile", "deepsea", "deepsea_100"),
        published_rows={"train": 2_188_805, "test": 227_512},
        median_length=length,
        length=length,
        label_groups=LABEL_GROUPS,
        published=_published(length),
        notes=_NOTES,
    )
    for length in _NUMBERS
)
