"""Gene structure: counts of spliced reads, and which bases of a chromosome are coding."""

from megabase.tasks.task import Task, TaskSource

_TRIPLES = TaskSource(
    paper="exon-intron-exon triples with counts of RNA reads; not a published task",
    url="",
    licence="public genomes and reads",
)
_ANNOTATION = TaskSource(
    paper="GENCODE on GRCh37, chromosome 20; not a published task",
    url="https://www.gencodegenes.org",
    licence="GENCODE: open access",
)

_SPECIES = {"at": "thale cress", "ce": "worm", "dm": "fly"}

_SPLICE = tuple(
    Task(
        name=f"splice_triples/{species.replace(' ', '_')}",
        title=f"number of reads spanning an intron of {species}",
        kind="regression",
        metric="spearman",
        source=_TRIPLES,
        layout="splice_triples",
        folders=("splice_eie",),
        files={"triples": f"eie.{code}.txt*"},
        notes=(
            "the sequence is exon, intron and exon concatenated, at most 50 + 150 + 50 bp; the "
            "value is the natural logarithm of the count",
            "the introns of a gene, or of genes that share a triple, are in the same split: "
            "8 : 1 : 1 of the genes, by a seed",
            "counts depend on the expression of the gene as much as on its introns: expect low "
            "correlations",
        ),
    )
    for code, species in _SPECIES.items()
)

_CODING = Task(
    name="gene_structure/chr20",
    title="other, exon without coding sequence, or coding, at every base of human chromosome 20",
    kind="per_base",
    metric="f1_macro",
    source=_ANNOTATION,
    layout="annotation",
    classes=("other", "exon", "coding"),
    folders=("human", "genomes/human"),
    length=1024,
    files={
        "genome": "chr20_grch37.fa*",
        "exons": "annotation_grch37/exons.tsv*",
        "coding": "annotation_grch37/CDSs.tsv*",
    },
    aliases={"chr20": "20"},
    notes=(
        "adjacent windows of the forward strand that contain a base of an exon; exons of both "
        "strands count; coding takes precedence over exon",
        "the last tenth of the chromosome is the test split, the tenth before it the validation "
        "split",
        "coordinates of the tables are 1-based and closed; contig chr20 of the tables is 20 in "
        "the genome",
    ),
)

GENE_STRUCTURE = (*_SPLICE, _CODING)
