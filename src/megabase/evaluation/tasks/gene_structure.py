"""Gene structure: counts of spliced reads, and which bases of a chromosome are coding."""

from megabase.evaluation.tasks.task import Source, Task

_TRIPLES = Source(
    paper="exon-intron-exon triples with counts of RNA reads; none published as a task",
    url="",
    licence="public genomes and reads",
)
_ANNOTATION = Source(
    paper="GENCODE on GRCh37, chromosome 20; none published as a task",
    url="https://www.gencodegenes.org",
    licence="GENCODE: open access",
)

_SPECIES = {"at": "thale cress", "ce": "worm", "dm": "fly"}

_SPLICE = tuple(
    Task(
        name=f"splice_triples/{species.replace(' ', '_')}",
        title=f"reads over an intron of {species}",
        kind="regression",
        metric="spearman",
        source=_TRIPLES,
        layout="splice_triples",
        folders=("splice_eie",),
        files={"triples": f"eie.{code}.txt*"},
        notes=(
            "the sequence is exon, intron and exon in one, 50 + 150 + 50 bp at most; the value is "
            "the natural logarithm of the count",
            "introns of one gene, or of genes with a triple in common, never stand on both sides "
            "of the split: 8 : 1 : 1 of the genes, by a seed",
            "counts follow the expression of the gene as much as its introns: expect little",
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
        "windows side by side that hold a base of an exon, of the forward strand; exons of both "
        "strands count; coding stands over exon",
        "the last tenth of the chromosome is the test, the tenth before it the validation",
        "coordinates of the tables are 1-based with both ends; contig chr20 there is 20 in the "
        "genome",
    ),
)

GENE_STRUCTURE = (*_SPLICE, _CODING)
