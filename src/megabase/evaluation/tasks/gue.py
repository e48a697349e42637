"""GUE, the benchmark of DNABERT-2: 28 sets of yeast, human, mouse and a virus."""

from collections.abc import Mapping

from megabase.evaluation.tasks.published import Published
from megabase.evaluation.tasks.task import Source, Task

_HUB = "leannmlindsey/GUE"
_SOURCE = Source(
    paper="DNABERT-2, arXiv:2306.15006v2",
    url="https://github.com/MAGICS-LAB/DNABERT_2",
    licence="none stated for the rows; the repository has Apache-2.0",
)

_ROWS = {
    # training, validation and test rows, and length in bp (DNABERT-2, appendix on GUE);
    # of histone marks and promoters, training and validation rows together are the training
    # rows of the Nucleotide Transformer's tasks of the same name
    "EMP/H3": (11_971, 1497, 1497, 500), "EMP/H3K14ac": (26_438, 3305, 3305, 500),
    "EMP/H3K36me3": (27_904, 3488, 3488, 500), "EMP/H3K4me1": (25_341, 3168, 3168, 500),
    "EMP/H3K4me2": (24_545, 3069, 3069, 500), "EMP/H3K4me3": (29_439, 3680, 3680, 500),
    "EMP/H3K79me3": (23_069, 2884, 2884, 500), "EMP/H3K9ac": (22_224, 2779, 2779, 500),
    "EMP/H4": (11_679, 1461, 1461, 500), "EMP/H4ac": (27_275, 3410, 3410, 500),
    "tf/0": (32_378, 1000, 1000, 101), "tf/1": (30_672, 1000, 1000, 101),
    "tf/2": (19_000, 1000, 1000, 101), "tf/3": (27_294, 1000, 1000, 101),
    "tf/4": (19_000, 1000, 1000, 101),
    "mouse/0": (6478, 810, 810, 101), "mouse/1": (53_952, 6745, 6745, 101),
    "mouse/2": (2620, 328, 328, 101), "mouse/3": (1904, 239, 239, 101),
    "mouse/4": (15_064, 1883, 1883, 101),
    "prom/prom_core_all": (47_356, 5920, 5920, 70),
    "prom/prom_core_notata": (42_452, 5307, 5307, 70),
    "prom/prom_core_tata": (4904, 613, 613, 70),
    "prom/prom_300_all": (47_356, 5920, 5920, 300),
    "prom/prom_300_notata": (42_452, 5307, 5307, 300),
    "prom/prom_300_tata": (4904, 613, 613, 300),
    "splice/reconstructed": (36_496, 4562, 4562, 400),
    "virus/covid": (77_669, 7000, 7000, 1000),
}  # fmt: skip

_TITLES = {
    "EMP": "yeast histone mark", "tf": "human transcription factor",
    "mouse": "mouse transcription factor", "prom": "human promoter",
    "splice": "human acceptor, donor or neither", "virus": "variant of SARS-CoV-2",
}  # fmt: skip

_CLASSES = {
    "splice": ("acceptor", "donor", "neither"),  # by the letters of the rows: AG | and | GT
    "virus": tuple(str(number) for number in range(9)),  # names are not published
}

_HUB_FOLDERS = {
    "EMP": "emp_", "tf": "human_tf_", "mouse": "mouse_", "prom": "", "splice": "splice_",
    "virus": "virus_",
}  # fmt: skip

SHA256: Mapping[str, Mapping[str, str]] = {}

_NOTES = {
    "EMP": ("the histone marks are those of yeast",),
    "prom": (
        "some test rows stand among the training rows letter by letter (43 in prom_core_all)",
    ),
}


def _task(name: str, n_train: int, n_validation: int, n_test: int, length: int) -> Task:
    part, _, leaf = name.partition("/")
    classes = _CLASSES.get(part, ("negative", "positive"))
    return Task(
        name=f"gue/{name}",
        title=f"{_TITLES[part]} {leaf}"
        if part in ("EMP", "tf", "mouse", "prom")
        else _TITLES[part],
        kind="binary" if len(classes) == 2 else "multiclass",
        metric="f1_macro" if part == "virus" else "mcc",
        source=_SOURCE,
        classes=classes,
        folders=(name, leaf) if part in ("EMP", "prom") else (name,),
        hub_id=_HUB,
        hub_folder=f"GUE/{_HUB_FOLDERS[part]}{leaf}",
        published_rows={"train": n_train, "validation": n_validation, "test": n_test},
        sha256=SHA256.get(name, {}),
        median_length=length,
        notes=_NOTES.get(part, ()),
    )


GUE = tuple(_task(name, *sizes) for name, sizes in _ROWS.items())

_HYENADNA_MEANS = {
    "gue/EMP/*": 58.94, "gue/tf/*": 61.74, "gue/mouse/*": 64.37, "gue/prom/prom_core_*": 69.22,
    "gue/prom/prom_300_*": 80.14, "gue/splice/*": 77.76, "gue/virus/*": 25.88,
}  # fmt: skip

_BEST_MEANS = {
    "gue/EMP/*": (("HybriDNA-3B", 69.06), ("ConvNova", 68.91)),
    "gue/tf/*": (("HybriDNA-7B", 72.89),),
    "gue/mouse/*": (("HybriDNA-7B(E)", 79.02),),
    "gue/prom/prom_core_*": (("MergeDNA", 73.41),),
    "gue/prom/prom_300_*": (("NT 2.5B", 88.15),),
    "gue/splice/*": (("HybriDNA-7B(E)", 90.12),),
    "gue/virus/*": (("HybriDNA-3B(E)", 74.88),),
    "gue/*": (("MergeDNA", 77.11), ("HybriDNA-7B", 76.42)),
}

_MERGEDNA = "MergeDNA paper, MCC; of covid as printed there"
_DNABERT2 = "DNABERT-2, arXiv:2306.15006v2, at second hand"


def _mean(model: str, value: float, over: str, source: str) -> Published:
    metric = "f1_macro" if "virus" in over else "mcc"
    return Published(model, round(value / 100, 6), metric, "official", source, over=over)


GUE_MEANS = (
    *(_mean("HyenaDNA 6.6M", value, over, _MERGEDNA) for over, value in _HYENADNA_MEANS.items()),
    *(
        _mean(model, value, over, _MERGEDNA)
        for over, numbers in _BEST_MEANS.items()
        for model, value in numbers
    ),
    _mean("DNABERT-2", 66.80, "gue/*", _DNABERT2),
    _mean("NT 2.5B", 66.93, "gue/*", _DNABERT2),
)
