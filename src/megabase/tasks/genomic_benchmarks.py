"""GenomicBenchmarks: eight sets of human, mouse and worm, with numbers of two protocols."""

from megabase.metrics.results import Published, read_published
from megabase.tasks.task import Task, TaskSource

_SOURCE = TaskSource(
    paper="Grešová et al. 2023, BMC Genomic Data 24:25",
    url="https://github.com/ML-Bioinfo-CEITEC/genomic_benchmarks",
    licence="Apache-2.0 of the package; sequences of Ensembl and of the cited studies",
)

HYENADNA = "Nguyen et al. 2023, arXiv:2306.15794v2"
CADUCEUS = "Caduceus, arXiv:2403.03234"
JANUSDNA = "JanusDNA, arXiv:2505.17257"
_PAPER = f"{HYENADNA}, Tab. 4.1 and A.4"
_CDILDNA = "README of cdilDNA, a secondary source"
_TENSORFLOW = "ML-Bioinfo-CEITEC/genomic_benchmarks, its TensorFlow network"
_CLEAN = f"{CADUCEUS}, Tab. 1; {JANUSDNA}, Tab. 1; MDLM, Tab. 7"

BEST_ON_TEST = """
set|CNN|DNABERT|GPT (4.1)|HyenaDNA|HyenaDNA v1|Hyena scratch|Hyena k-mer scratch|\
Hyena bidirectional scratch|GPT scratch|GPT pretrained|CNN TensorFlow
dummy_mouse_enhancers_ensembl|69.0|66.9|80.1|85.1|84.3|84.7|81.8|80.6|79.3|79.3|50.0
demo_coding_vs_intergenomic_seqs|87.6|92.5|88.8|91.3|87.6|90.9|86.7|90.3|89.3|91.2|89.6
demo_human_or_worm|93.0|96.5|95.6|96.6|96.5|96.4|92.9|95.9|94.8|96.6|94.2
human_enhancers_cohn|69.5|74.0|70.5|74.2|73.8|72.9|69.8|72.1|67.7|72.9|68.9
human_enhancers_ensembl|68.9|85.7|83.5|89.2|89.2|85.7|88.0|85.9|79.0|88.3|81.1
human_ensembl_regulatory|93.3|88.1|91.5|93.8|93.8|90.4|90.2|89.1|90.2|91.8|79.3
human_nontata_promoters|84.6|85.6|87.7|96.6|96.6|93.3|83.5|88.5|85.2|90.1|86.5
human_ocr_ensembl|68.0|75.1|73.0|80.9|80.9|78.8|70.2|75.3|68.3|79.9|68.8
"""

CLEAN = """
set|CNN 264K|HyenaDNA 436K|Mamba 468K|Caduceus-Ph 470K|Caduceus-PS 470K|ConvNova 386K|\
JanusDNA attention|JanusDNA no attention|Caduceus MLM 467K|Caduceus MDLM
dummy_mouse_enhancers_ensembl|.715|.780|.743|.754|.793|.784|.770|.769|.810|.795
demo_coding_vs_intergenomic_seqs|.892|.904|.904|.915|.910|.943|.912|.911|.913|.913
demo_human_or_worm|.942|.964|.967|.973|.968|.967|.971|.971|.970|.970
human_enhancers_cohn|.702|.729|.732|.747|.745|.743|.741|.742|.737|.743
human_enhancers_ensembl|.744|.849|.862|.893|.900|.900|.897|.899|.907|.899
human_ensembl_regulatory|.872|.869|.814|.872|.873|.873|.877|.868|.874|.868
human_ocr_ensembl|.698|.783|.815|.828|.818|.793|.822|.824|.821|.823
human_nontata_promoters|.861|.944|.933|.946|.945|.951|.957|.954|.935|.940
"""

_BEST_OF_OTHERS = """
set|cdilDNA
dummy_mouse_enhancers_ensembl|85.95
human_ensembl_regulatory|94.04
human_nontata_promoters|97.62
"""

_SETS = {
    # name: (title, classes, training rows, test rows, median bp), from the repository
    "dummy_mouse_enhancers_ensembl": (
        "mouse enhancers", ("negative", "positive"), 968, 242, 2381,
    ),
    "demo_coding_vs_intergenomic_seqs": (
        "coding against intergenic", ("coding_seqs", "intergenomic_seqs"), 75_000, 25_000, 200,
    ),
    "demo_human_or_worm": ("human or worm", ("human", "worm"), 75_000, 25_000, 200),
    "human_enhancers_cohn": (
        "human enhancers (Cohn)", ("negative", "positive"), 20_843, 6948, 500,
    ),
    "human_enhancers_ensembl": (
        "human enhancers (Ensembl)", ("negative", "positive"), 123_872, 30_970, 269,
    ),
    "human_ensembl_regulatory": (
        "enhancer, open chromatin or promoter", ("enhancer", "ocr", "promoter"),
        231_348, 57_713, 401,
    ),
    "human_nontata_promoters": (
        "human promoters without TATA box", ("negative", "positive"), 27_097, 9034, 251,
    ),
    "human_ocr_ensembl": (
        "human open chromatin", ("negative", "positive"), 139_804, 34_952, 315,
    ),
}  # fmt: skip

_NOTES = {
    "dummy_mouse_enhancers_ensembl": (
        "others could not reproduce the paper's 85.1 (63.6 in hyena-dna issue 60)",
    ),
    "human_enhancers_ensembl": (
        "as published, the set contains test rows identical to training rows, and rows of 2 bp",
    ),
}

_ON_TEST = (
    "no validation rows are published: numbers of protocol 'paper' are the best epoch on test rows",
)


def _tasks() -> tuple[Task, ...]:
    paper = read_published(
        BEST_ON_TEST, "accuracy", "paper", _PAPER, is_percent=True,
        sources={"HyenaDNA v1": _CDILDNA, "CNN TensorFlow": _TENSORFLOW},
    )  # fmt: skip
    clean = read_published(CLEAN, "accuracy", "clean", _CLEAN)
    others = read_published(_BEST_OF_OTHERS, "accuracy", "paper", _CDILDNA, is_percent=True)
    return tuple(
        Task(
            name=f"genomic_benchmarks/{name}",
            title=title,
            kind="binary" if len(classes) == 2 else "multiclass",
            metric="accuracy",
            source=_SOURCE,
            classes=classes,
            folders=(name,),
            label_columns=("class", "label"),
            published_rows={"train": n_train, "test": n_test},
            median_length=median,
            published=(*paper[name], *others.get(name, ()), *clean[name]),
            notes=_ON_TEST + _NOTES.get(name, ()),
        )
        for name, (title, classes, n_train, n_test, median) in _SETS.items()
    )


GENOMIC_BENCHMARKS = _tasks()

_GENBENCH = {
    "HyenaDNA 6.6M": 87.07, "Caduceus": 85.89, "DNABERT": 85.02, "DNABERT-2": 87.30,
    "GENA-LM": 87.94, "NT 500M": 89.26, "VQDNA": 87.69, "MxDNA": 89.12, "ConvNova": 86.95,
    "GENERator": 90.71, "MergeDNA 380M": 90.87,
}  # fmt: skip

GENOMIC_BENCHMARKS_MEANS = tuple(
    Published(
        model, round(value / 100, 6), "accuracy", "unstated",
        "MergeDNA paper, protocol of GenBench", over="genomic_benchmarks/*",
    )
    for model, value in _GENBENCH.items()
)  # fmt: skip
