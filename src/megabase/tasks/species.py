"""Species classification: five mammals, great apes, or great apes on one chromosome."""

from megabase.metrics.results import Published, read_published
from megabase.tasks.genomic_benchmarks import HYENADNA
from megabase.tasks.task import Task, TaskSource

_ASSEMBLIES = "T2T-CHM13v2.0 (not hg38), mLemCat1, A_J_v3, USMARCv1.0, ASM2306583v1"
_FIVE_SOURCE = TaskSource(
    paper=f"{HYENADNA}, A.10; assemblies {_ASSEMBLIES}",
    url="https://www.ncbi.nlm.nih.gov/datasets/genome/",
    licence="public assemblies of NCBI",
)
_APES_SOURCE = TaskSource(
    paper="Mamba, arXiv:2312.00752, Sec. 4.3",
    url="https://www.ncbi.nlm.nih.gov/datasets/genome/",
    licence="public assemblies of NCBI",
)
_MAF_SOURCE = TaskSource(
    paper="alignment of chromosome 22 of four great apes; not a published task",
    url="",
    licence="public assemblies",
)

FIVE_WAY = """
length|Transformer|HyenaDNA|Hyena scratch
1k|55.4|61.1|53.9
32k|88.9|93.4|70.7
250k|-|97.9|65.7
450k|-|99.4|71.4
1m|-|99.5|-
"""

APES = """
length|HyenaDNA 1.4M|Mamba 1.4M|Mamba 7M
1024|28.04|31.47|30.00
4096|28.43|27.50|29.01
16384|41.17|27.66|31.48
65536|42.22|40.72|43.73
262144|31.10|42.41|56.60
1048576|54.87|71.67|81.31
"""

_FIVE_LENGTHS = {"1k": 1024, "32k": 32_768, "250k": 250_000, "450k": 450_000, "1m": 1_000_000}

_CHROMOSOMES = ("1", "3", "12", "13")

_FIVE_NOTES = (
    "the paper draws species, chromosome and start uniformly at each evaluation; here the windows "
    "are fixed by a seed",
    "tested on chromosomes 1, 3, 12 and 13; the released code tests on 5, 7, 9, 10 and 11",
    "the paper pads with N at the ends of chromosomes; here each window lies inside a chromosome",
)
_APES_NOTES = (
    "chance level is 0.2; the published models were pretrained with a context as long as the "
    "windows",
    "orthologous sequences of close relatives differ in at most one base in a hundred",
)


def _five(size: str, published: tuple[Published, ...]) -> Task:
    return Task(
        name=f"species/five_{size}",
        title=f"human, lemur, mouse, pig or hippo, {size} bases",
        kind="multiclass",
        metric="accuracy",
        source=_FIVE_SOURCE,
        layout="genomes",
        classes=("human", "lemur", "mouse", "pig", "hippo"),
        folders=("species",),
        length=_FIVE_LENGTHS[size],
        test_contigs=_CHROMOSOMES,
        published=published,
        notes=_FIVE_NOTES,
    )


def _apes(length: int, published: tuple[Published, ...]) -> Task:
    return Task(
        name=f"species/apes_{length}",
        title=f"five great apes, {length:,} bases",
        kind="multiclass",
        metric="accuracy",
        source=_APES_SOURCE,
        layout="genomes",
        classes=("human", "chimpanzee", "gorilla", "orangutan", "bonobo"),
        folders=("apes",),
        length=length,
        test_contigs=_CHROMOSOMES,
        published=published,
        notes=_APES_NOTES,
    )


_CHR22 = tuple(
    Task(
        name=f"species/apes_chr22_{length}",
        title=f"four great apes, {length:,} bases of chromosome 22",
        kind="multiclass",
        metric="accuracy",
        source=_MAF_SOURCE,
        layout="alignment",
        classes=("human", "chimpanzee", "gorilla", "orangutan"),
        folders=("human", "genomes/human"),
        files={"alignment": "apes_chr22.maf*"},
        length=length,
        aliases={
            "Hsap": "human", "Ptro": "chimpanzee", "Ggor": "gorilla", "Ppyg": "orangutan",
        },
        notes=(
            "chance level is 0.25; split by alignment block, so that the four copies of a locus "
            "are in the same split",
            "not the rows of the published great-ape task, whose numbers are not comparable",
        ),
    )
    for length in (256, 512, 1024, 2048, 4096)
)  # fmt: skip

_FIVE_NUMBERS = read_published(FIVE_WAY, dict.fromkeys(_FIVE_LENGTHS, "accuracy"), "paper",
                               f"{HYENADNA}, A.6 and A.10", is_percent=True)  # fmt: skip
_APES_NUMBERS = read_published(
    APES, "accuracy", "unstated", "Mamba, arXiv:2312.00752, Tab. 13", is_percent=True
)

SPECIES = (
    *(_five(size, numbers) for size, numbers in _FIVE_NUMBERS.items()),
    *(_apes(int(length), numbers) for length, numbers in _APES_NUMBERS.items()),
    *_CHR22,
)
