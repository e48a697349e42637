"""GUE, the benchmark of DNABERT-2: 28 sets of yeast, human, mouse and a virus."""

from collections.abc import Mapping

from megabase.metrics.results import Published
from megabase.tasks.task import Task, TaskSource

_HUB = "leannmlindsey/GUE"
_SOURCE = TaskSource(
    paper="DNABERT-2, arXiv:2306.15006v2",
    url="https://github.com/MAGICS-LAB/DNABERT_2",
    licence="none stated for the rows; the repository has Apache-2.0",
)

_ROWS = {
    # training, validation and test rows, and length in bp (DNABERT-2, appendix on GUE); for
    # histone marks and promoters, training plus validation rows are the training rows of the
    # Nucleotide Transformer's tasks of the same name
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

SHA256: Mapping[str, Mapping[str, str]] = {
    "tf/0": {
        "train": "c23d031e5c3a3c9dbef2f16bff8624c618677afa2ed12f6a722ccd882e923057",
        "validation": "049cfff18ac99af93ddb394be966c969348e0c9ba28ceadcbd0239c3908128e9",
        "test": "6b552eb759b227c29a76dcc2950bbc7c2e7677b57a05ab9351160f966ec2ae14",
    },
    "tf/1": {
        "train": "0ece347965f5be0b8959f939719e2c94df783343953af364e6d9377b793c2846",
        "validation": "ba42a46ed70cae4ffdcaf0c9d95253c5afb53b51bd70aef73d07a29505f59d7a",
        "test": "1c0ae380a67b1ad1d248a4daa2c309d8ffff36c00adc82c8bbe84bc5fd0104e2",
    },
    "tf/2": {
        "train": "47eb425f8235a663c9ed702ecb93f7cb1c4143fa8e24e7ff5afab9231352b893",
        "validation": "36aac825d123fc7eed043d12eede79b4d687f283de9c2ac6c3a217dd1dcb4d00",
        "test": "694108ada51b4cfe688510836ae25ec15068a8da9412f22544ee10a7ba4974a9",
    },
    "tf/3": {
        "train": "49bba70a366bf41f1c851a70e4e2967546415135088eead3e56e744ef4230e19",
        "validation": "40b04f421316900982323715747313e966973e3e03d3ccb76e1f006be2e1ec29",
        "test": "7155828f002505f0927ccd63c6fd6b66304fc3e2aa63a24836c38edb9319558a",
    },
    "mouse/0": {
        "train": "660bc82de2295006e1120bc8e6d6a980554ebc86d1639124313e62c3a8fa36e3",
        "validation": "da04b057e755d48d918f487f3e0e8b833cb24e78380bebe8a91eabaaea4aa3e3",
        "test": "94208f626a777a3c4f50251652e37b3a46da0d8cb72f0ee1a096326210913028",
    },
    "mouse/2": {
        "train": "f14aafcab67d6903735d52544bff86385650f3d4da6b0066cd7bfc27f9c024cf",
        "validation": "8a70370a310428c7f38b8afc2f2563978b004d04e4b663ddfc94d66a9e5fd187",
        "test": "fd775e0f80a72b94833c608a698fbf9001db53adaacafd09c979fd76001fd3fb",
    },
    "mouse/3": {
        "train": "36cab3dc540b6118e0a1a8e5b893b0ab5c638e80069239684f52f5a12784f0ae",
        "validation": "23f8e325f9a3a8d662b685df6b59e5c14be3c040d25b685b75b39163f69daa57",
        "test": "00e2282a807d9974d315ee403f8bb855f2072ca31466273106b1ae27bdf370bf",
    },
    "prom/prom_core_all": {
        "train": "6a9524fc9a0ae0b6944f8522671ed3346e65e4b9c682f0a4f0d9cab5eca70092",
        "validation": "8f6385738fbff85c85c6d2161f9a2d563e5731b4d0290ae79827600d2eef67ce",
        "test": "8643d831ce17d3bb646cefa9f15c5e8daa2342c7c63257ef31bb0a810f32d2fa",
    },
    "prom/prom_core_notata": {
        "train": "c73afa0037d291b373c9d4db20f2a42e628759cbc62d3bed5d1d983f0d954f3f",
        "validation": "91be2dd9cd131ed98d42a75f9cf570bc82dd27c66f4da4bc92438cf718f35649",
        "test": "89c947251635dbd8fc9d221bca40d317ac4fe6c96cfd135ffaf00611934743ce",
    },
    "prom/prom_core_tata": {
        "train": "4649d307f5eebcf8e8afaa4451196ec4b41d41a0be27a434f5e3f39b0d6f9cd3",
        "validation": "024b1fb96dc1c6747c9998e48c60c3e34cff725da93c07a6bae8b12ba32c4429",
        "test": "8b509a674e0df86f0b6a990de448134ac56ef3962b5a92886dee25adf242a9e8",
    },
}
"""Digests of the sets whose complete rows were available (`task_files.digest`)."""

_NOTES = {
    "EMP": ("the histone marks are those of yeast",),
    "prom": ("some test rows are identical to training rows (43 in prom_core_all)",),
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

_MERGEDNA = "MergeDNA paper, MCC; covid as printed there"
_DNABERT2 = "DNABERT-2, arXiv:2306.15006v2, from a secondary source"


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
