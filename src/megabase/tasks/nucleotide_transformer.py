"""The 18 tasks of the Nucleotide Transformer, first edition, with numbers of two protocols."""

from megabase.metrics.results import Published, read_published
from megabase.tasks.genomic_benchmarks import CADUCEUS, HYENADNA, JANUSDNA
from megabase.tasks.task import Task, TaskSource

_HUB = "InstaDeepAI/nucleotide_transformer_downstream_tasks"
_SOURCE = TaskSource(
    paper="Dalla-Torre et al. 2023, bioRxiv 2023.01.11.523679v1",
    url=f"https://huggingface.co/datasets/{_HUB}",
    licence="none stated for the rows; the repository of the paper has CC BY-NC-SA 4.0",
)
_PAPER = f"{HYENADNA}, Tab. 4.2 and A.6"
_TEN_FOLD = f"{CADUCEUS}, Tab. 2; {JANUSDNA}, Tab. 2"
_MERGEDNA = "MergeDNA paper"

PAPER = """
task|NT 500M (1 genome)|NT 2.5B (3,202 genomes)|NT 2.5B (850 species)|HyenaDNA 1.6M|\
GPT pretrained|Hyena scratch
enhancers|53.5|59.3|58.0|62.6|59.3|58.6
enhancers_types|48.5|50.0|47.4|55.7|51.9|48.4
H3|73.7|77.6|81.4|81.7|75.8|79.9
H3K4me1|35.8|44.5|55.9|57.1|38.7|43.4
H3K4me2|28.1|30.0|32.6|53.9|28.8|34.5
H3K4me3|26.3|28.1|42.1|61.2|28.3|40.2
H3K9ac|46.2|50.8|57.5|65.1|49.2|52.6
H3K14ac|37.7|47.1|55.0|66.3|41.6|48.0
H3K36me3|46.7|53.3|63.2|65.3|47.8|53.4
H3K79me3|57.7|59.2|64.2|71.6|58.9|59.7
H4|76.2|78.9|82.2|79.6|77.7|79.1
H4ac|34.4|42.3|50.1|63.7|36.4|43.5
promoter_all|95.4|96.6|97.4|96.5|96.3|96.1
promoter_no_tata|95.6|96.9|97.7|96.6|96.6|96.5
promoter_tata|94.8|95.8|96.4|96.7|96.6|96.1
splice_sites_acceptors|96.5|98.5|99.0|96.6|97.6|96.6
splice_sites_donors|97.2|98.2|98.4|97.3|98.1|96.5
splice_sites_all|97.2|97.8|98.3|97.9|98.0|97.3
"""

TEN_FOLD = """
task|Enformer 252M|DNABERT-2|NT-v2 500M|HyenaDNA 1.6M|Caduceus-Ph 1.9M|Caduceus-PS|\
ConvNova 1.7M|JanusDNA attention 2.0M|JanusDNA no attention|MergeDNA 380M
H3|.719|.785|.784|.779|.815|.799|.812|.835|-|.830
H3K14ac|.288|.516|.551|.612|.631|.541|.644|.729|-|.685
H3K36me3|.344|.591|.625|.613|.601|.609|.661|.702|-|.682
H3K4me1|.291|.511|.550|.512|.523|.488|.554|.615|.616|.562
H3K4me2|.211|.336|.319|.455|.487|.388|.485|.589|-|.557
H3K4me3|.158|.352|.410|.549|.544|.440|.566|.688|-|.641
H3K79me3|.496|.613|.626|.672|.697|.676|.700|.747|-|.742
H3K9ac|.420|.542|.562|.581|.622|.604|.658|.673|-|.650
H4|.732|.796|.799|.763|.811|.789|.808|.812|.813|.811
H4ac|.273|.463|.495|.564|.621|.525|.636|.698|.705|.673
enhancers|.451|.516|.548|.517|.546|.491|.586|.559|-|.798
enhancers_types|.309|.423|.424|.386|.439|.416|.500|.503|-|.606
promoter_all|.954|.971|.976|.960|.970|.967|.967|.970|-|.974
promoter_no_tata|.955|.972|.976|.959|.969|.968|.968|.971|-|.974
promoter_tata|.960|.955|.966|.944|.953|.957|.969|.958|-|.967
splice_sites_all|.848|.939|.983|.956|.940|.927|.965|.967|-|.984
splice_sites_acceptors|.914|.975|.981|.958|.937|.936|.971|.957|-|.987
splice_sites_donors|.906|.963|.985|.949|.948|.874|.965|.948|-|.989
"""

_SETS = {
    # name: (training rows, length in bp), from the configuration of HazyResearch/hyena-dna
    "enhancers": (14_968, 200), "enhancers_types": (14_968, 200),
    "H3": (13_468, 500), "H3K4me1": (28_509, 500), "H3K4me2": (27_614, 500),
    "H3K4me3": (33_119, 500), "H3K9ac": (25_003, 500), "H3K14ac": (29_743, 500),
    "H3K36me3": (31_392, 500), "H3K79me3": (25_953, 500), "H4": (13_140, 500),
    "H4ac": (30_685, 500), "promoter_all": (53_276, 300), "promoter_no_tata": (47_759, 300),
    "promoter_tata": (5517, 300), "splice_sites_acceptors": (19_961, 600),
    "splice_sites_donors": (19_775, 600), "splice_sites_all": (None, None),
}  # fmt: skip

_OTHER_NAMES = {
    "enhancers": "enhancer", "enhancers_types": "enhancer_types",
    "promoter_no_tata": "promoter_non_tata", "splice_sites_acceptors": "splice_sites_acceptor",
    "splice_sites_donors": "splice_sites_donor",
}  # fmt: skip

_TEST_ROWS = {
    "enhancers": 400,
    "enhancers_types": 400,
}  # from the hub's dataset card; others unknown

_ALL = (
    "the Nucleotide Transformer's own numbers come from parameter-efficient tuning",
    "except for enhancers, the authors split 9 : 1; the number of test rows is not stated",
)
_HISTONE = (
    "the histone marks are those of yeast",
    "the authors of DNABERT-2 could not reproduce these values from the released weights; the "
    "leaderboard of InstaDeep has .455 on H3K4me2 and .549 on H3K4me3 (Caduceus)",
)
_ENHANCER = ("MergeDNA's values probably refer to another version of the rows",)


def _metric(name: str, *, is_ten_fold: bool = False) -> str:
    if is_ten_fold and name == "splice_sites_all":
        return "accuracy"
    return "f1_macro" if name.startswith(("promoter", "splice")) else "mcc"


def _notes(name: str) -> tuple[str, ...]:
    own = _HISTONE if name.startswith("H") else _ENHANCER if name.startswith("enh") else ()
    return _ALL + own


def _task(
    name: str, n_train: int | None, length: int | None, published: tuple[Published, ...]
) -> Task:
    is_multiclass = name in ("enhancers_types", "splice_sites_all")
    return Task(
        name=f"nucleotide_transformer/{name}",
        title=name.replace("_", " "),
        kind="multiclass" if is_multiclass else "binary",
        metric=_metric(name),
        source=_SOURCE,
        classes=("0", "1", "2") if is_multiclass else ("0", "1"),  # names are not published
        folders=tuple(filter(None, (name, _OTHER_NAMES.get(name)))),
        hub_id=_HUB,
        hub_folder=name,
        published_rows={"train": n_train, "test": _TEST_ROWS.get(name)},
        median_length=length,
        published=published,
        notes=_notes(name),
    )


def _tasks() -> tuple[Task, ...]:
    metrics = {name: _metric(name) for name in _SETS}
    fold_metrics = {name: _metric(name, is_ten_fold=True) for name in _SETS}
    paper = read_published(PAPER, metrics, "paper", _PAPER, is_percent=True)
    folds = read_published(
        TEN_FOLD, fold_metrics, "ten-fold", _TEN_FOLD, sources={"MergeDNA 380M": _MERGEDNA}
    )
    return tuple(
        _task(name, n_train, length, (*paper[name], *folds[name]))
        for name, (n_train, length) in _SETS.items()
    )


NUCLEOTIDE_TRANSFORMER = _tasks()

_MEANS = {
    "HyenaDNA 6.6M": 70.24, "Caduceus-PS": 72.50, "ConvNova": 76.42, "NT-v2": 71.13,
    "GENERator": 72.84, "MxDNA": 78.14, "MergeDNA": 78.39,
}  # fmt: skip

NUCLEOTIDE_TRANSFORMER_MEANS = tuple(
    Published(
        model, round(value / 100, 6), "mcc", "unstated",
        f"{_MERGEDNA}: mean over tasks of MCC, F1 or accuracy", over="nucleotide_transformer/*",
    )
    for model, value in _MEANS.items()
)  # fmt: skip
