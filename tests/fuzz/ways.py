"""The combinations of verb and kind of input file, with the check of the output."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.fuzz import accounts, mutations, wellformed

MODEL, CLASSIFIER, TAGGER = "../assets/model", "../assets/classifier", "../assets/tagger"


@dataclass(frozen=True)
class Way:
    """One way for one verb to read one kind of input.

    Parameters
    ----------
    verb, kind
        The verb, and the kind of file that is damaged; results are counted by both.
    target
        The name of the damaged file in the folder of the case.
    write
        A function that draws a well-formed target.
    mutations
        The mutations that may be applied to the target.
    arguments
        Arguments after the verb.
    output
        The name of the output; empty if there is only standard output.
    account
        The check of the output after an exit code of 0.
    beside
        Functions that draw other, unmodified files of the case, by name.
    role
        "genome" if the target is the genome of regions.
    regions
        The name of the file of regions.
    length
        The expected length of generated sequences.
    weight
        The relative frequency of being drawn.
    folder
        A folder of assets that holds the target, copied into the case.
    """

    verb: str
    kind: str
    target: str
    write: Callable[[Random], bytes]
    mutations: tuple[Callable[..., bytes], ...]
    arguments: tuple[str, ...]
    output: str
    account: Callable[..., object]
    beside: Mapping[str, Callable[[Random], bytes]] = field(default_factory=dict)
    role: str = ""
    regions: str = "regions.bed"
    length: int = 0
    weight: float = 1.0
    folder: str = ""


# fmt: off
def _genome_fa():
    return {"genome.fa": wellformed.genome}


def _sequences():
    T, w, a = mutations.TEXT, wellformed, accounts
    m = ("-m", MODEL)
    for suffix, pack in (("fa", None), ("fa.gz", mutations.bgzip), ("fasta.gz", mutations.gzipped)):
        yield from _packed_sequences(suffix, pack)
    for name, write, kind in (("s.bed", w.bed, "bed"), ("s.bed", w.bed12, "bed12")):
        fixed = ("-i", name, "-g", "genome.fa")
        more = {"beside": _genome_fa(), "regions": name}
        yield Way(
            "score", kind, name, write, T, (*m, *fixed, "-o", "o.tsv"), "o.tsv", a.of_score, **more
        )
        yield Way(
            "embed", kind, name, write, T, (*m, *fixed, "-o", "o.npz"), "o.npz", a.of_embed, **more
        )
    yield Way("predict", "bed", "s.bed", w.bed, T,
              ("-m", CLASSIFIER, "-i", "s.bed", "-g", "genome.fa", "-o", "o.csv"), "o.csv",
              a.of_predict,
              beside=_genome_fa(), regions="s.bed")
    yield Way("predict", "bed", "s.bed", w.bed, T,
              ("-m", TAGGER, "-i", "s.bed", "-g", "genome.fa", "-o", "o.csv"), "o.csv",
              a.of_nothing,
              beside=_genome_fa(), regions="s.bed", weight=0.5)
    yield Way("score", "fastq", "s.fastq", w.fastq, T, (*m, "-i", "s.fastq", "-o", "o.tsv"),
        "o.tsv",
              a.of_score)
    yield Way(
        "embed", "fastq", "s.fq", w.fastq, T, (*m, "-i", "s.fq", "-o", "o.npz"), "o.npz", a.of_embed
    )
    yield Way("predict", "fastq", "s.fastq", w.fastq, T, ("-m", CLASSIFIER, "-i", "s.fastq", "-o",
        "o.csv"),
              "o.csv", a.of_predict)
    for name, write, kind in (("s.bed", w.bed12, "bed12"), ("s.gtf", w.gtf, "gtf")):
        for verb, output in (("score", "o.tsv"), ("embed", "o.npz")):
            yield Way(verb, kind, name, write, T,
                      (*m, "-i", name, "-g", "genome.fa", "--splice", "-o", output), output,
                      a.of_nothing, beside=_genome_fa())
    yield Way("embed", "gtf", "s.gtf", w.gtf, T, (*m, "-i", "s.gtf", "-g", "genome.fa", "-o",
        "o.npz"),
              "o.npz", a.of_nothing, beside=_genome_fa())
    yield Way("score", "gtf", "s.gtf", w.gtf, T, (*m, "-i", "s.gtf", "-g", "genome.fa", "-o",
        "o.tsv"),
              "o.tsv", a.of_nothing, beside=_genome_fa())


def _packed_sequences(suffix, pack):
    name = f"s.{suffix}"
    changes = mutations.COMPRESSED if pack else mutations.TEXT
    kind, weight = ("fasta packed", 0.5) if pack else ("fasta", 1.5)

    def write(rng):
        data = wellformed.fasta(rng)
        if pack and rng.random() < 0.5:
            data, _ = mutations.draw(rng, data, mutations.TEXT)
        return data if pack is None else pack(data) if pack is mutations.bgzip else pack(rng, data)

    m = ("-m", MODEL)
    for verb, options, output, account in (
        ("score", m, "o.tsv", accounts.of_score), ("embed", m, "o.npz", accounts.of_embed),
        ("predict", ("-m", CLASSIFIER), "o.csv", accounts.of_predict),
    ):
        yield Way(verb, kind, name, write, changes, (*options, "-i", name, "-o", output), output,
                  account, weight=weight)


def _genomes():
    T, w, a = mutations.TEXT, wellformed, accounts
    m, bed = ("-m", MODEL), {"regions.bed": w.short_bed}
    of = {"role": "genome", "beside": bed}
    for target, write, changes, kind in (
        ("genome.fa", w.genome, T, "fasta"), ("genome.2bit", w.twobit, mutations.BINARY, "2bit"),
        ("genome.fa.gz", lambda rng: mutations.bgzip(w.genome(rng)), mutations.COMPRESSED,
        "fasta.gz"),
    ):
        g = ("-g", target)
        is_plain = target == "genome.fa"
        yield Way("score", kind, target, write, changes, (*m, *g, "-i", "regions.bed", "-o",
            "o.tsv"),
                  "o.tsv", a.of_score if is_plain else a.of_nothing, **of)
        yield Way("mutagenesis", kind, target, write, changes,
                  (*m, *g, "-r", "regions.bed", "-o", "o.tsv", "--window", "16"), "o.tsv",
                  a.of_mutagenesis if is_plain else a.of_nothing, **of)
        yield Way("tracks", kind, target, write, changes, (*m, *g, "-o", "o.bedgraph"),
            "o.bedgraph",
                  a.of_tracks)
        yield Way("score-vcf", kind, target, write, changes,
                  (*m, *g, "-i", "v.vcf", "-o", "o.vcf", "--window", "32"), "o.vcf", a.of_score_vcf,
                  beside={"v.vcf": w.vcf})
        yield Way("pretrain", kind, target, write, changes, (*g, *_TINY, "-o", "out"), "out",
                  a.of_model_folder, weight=0.2)
        yield Way("evaluate perplexity", kind, target, write, changes,
                  (*m, *g, "-o", "o.json", "--context-length", "64"), "o.json", a.of_json)
        yield Way("finetune", kind, target, write, changes,
                  ("--train", "t.tsv", *g, *m, *_ONCE, "-o", "out"), "out", a.of_model_folder,
                  beside={"t.tsv": w.places_table}, weight=0.2)
    for suffix in ("npz", "h5", "parquet"):
        yield Way("embed", "fasta", "genome.fa", w.genome, T,
                  (*m, "-g", "genome.fa", "-i", "regions.bed", "-o", f"o.{suffix}"), f"o.{suffix}",
                  a.of_embed if suffix == "npz" else a.of_nothing, weight=0.3, **of)
    yield Way("tracks", "fasta", "genome.fa", w.genome, T, (*m, "-g", "genome.fa", "-o", "o.bw"),
        "o.bw",
              a.of_nothing, weight=0.5)
    yield Way("mutagenesis", "bed", "s.bed", w.short_bed, T,
              (*m, "-g", "genome.fa", "-r", "s.bed", "-o", "o.tsv", "--window", "16"), "o.tsv",
              a.of_mutagenesis, beside=_genome_fa(), regions="s.bed", weight=1.5)
    yield Way("mutagenesis", "bed", "s.bed", w.short_bed, T,
              (*m, "-g", "genome.fa", "-r", "s.bed", "-o", "o.tsv", "--window", "16", "--mode",
              "both",
               "--figures", "figures"), "o.tsv", a.of_nothing, beside=_genome_fa(), regions="s.bed",
              weight=0.05)
    yield Way("evaluate perplexity", "bed", "s.bed", w.bed, T,
              (*m, "-g", "genome.fa", "--regions", "s.bed", "-o", "o.json"), "o.json", a.of_json,
              beside=_genome_fa())


_TINY = (
    "--steps", "1", "--context-length", "16", "--set", "architecture={d_model: 8, n_layer: 1}",
    "--set",
    "tokens_per_step=32", "--set", "validations=0", "--set", "split={test_fraction: 0.1}",
)
_RUN = (
    "--shard", "VALUE=1/1", "--batch-tokens", "VALUE=64", "--device", "VALUE=cpu", "--max-memory",
    "VALUE=8", "--precision", "VALUE=float32",
)  # fmt: skip
_ONCE = ("--epochs", "1", "--seeds", "1", "--set", "device=cpu")


def _variants():
    w, a = wellformed, accounts
    m, g = ("-m", MODEL), ("-g", "genome.fa")
    window = ("--window", "32")
    for target, write, changes, kind, outputs in (
        ("v.vcf", w.vcf, mutations.TEXT, "vcf", ("o.vcf", "o.vcf.gz", "o.tsv", "o.bcf",
        "o.parquet")),
        ("v.vcf.gz", w.vcf_bgzip, mutations.COMPRESSED, "vcf", ("o.vcf", "o.tsv")),
        ("v.vcf.gz", w.vcf_gzip, mutations.COMPRESSED, "vcf", ("o.vcf",)),
        ("v.bcf", w.bcf, mutations.COMPRESSED, "bcf", ("o.vcf", "o.bcf", "o.tsv")),
        ("v.bcf", w.bcf, (mutations.damaged_bcf,), "bcf", ("o.vcf", "o.bcf", "o.tsv")),
    ):
        for output in outputs:
            account = a.of_nothing if output.endswith(("bcf", "parquet")) else a.of_score_vcf
            weight = {"o.vcf": 3.0, "o.tsv": 1.0}.get(output, 0.5) * (1 if kind == "vcf" else 0.7)
            yield Way("score-vcf", kind, target, write, changes,
                      (*m, *g, "-i", target, "-o", output, *window), output, account,
                      beside=_genome_fa(),
                      weight=weight)
        yield Way("embed", kind, target, write, changes, (*m, *g, "-i", target, "-o", "o.h5",
            *window),
                  "o.h5", a.of_nothing, beside=_genome_fa(), weight=0.7)
    yield Way("score-vcf", "chrom-map", "map.tsv", w.chrom_map, mutations.TEXT,
              (*m, *g, "-i", "v.vcf", "-o", "o.vcf", *window, "--chrom-map", "map.tsv"), "o.vcf",
              a.of_nothing, beside=_genome_fa() | {"v.vcf": w.vcf}, weight=0.7)


def _generation():
    w, a, m = wellformed, accounts, ("-m", MODEL)
    yield Way("generate", "fasta", "prompt.fa", w.fasta, mutations.TEXT,
              (*m, "-n", "12", "-k", "2", "--prompt", "prompt.fa", "-o", "o.fa"), "o.fa",
              a.of_generate,
              length=12, weight=1.5)
    yield Way("generate", "fasta", "template.fa", w.one_fasta, mutations.TEXT,
              (*m, "-n", "30", "--template", "template.fa", "--gc", "0.3-0.7", "-o", "o.fa"),
              "o.fa",
              a.of_generate, length=30)
    yield Way("generate", "options", "prompt.fa", w.fasta, (), (
        *m, "--prompt", "prompt.fa", "-o", "o.fa", "-n", "VALUE=12", "-k", "VALUE=1", "--gc",
        "VALUE=0.2-0.8", "--forbid", "VALUE=GAATTC", "--forbid", "VALUE=TTT", "--seed", "VALUE=0",
        "--temperature", "VALUE=1.0", "--top-k", "VALUE=4", "--top-p", "VALUE=1.0", *_RUN), "o.fa",
        a.of_nothing, weight=2)
    yield Way("score", "options", "s.fa", w.fasta, (), (
        *m, "-i", "s.fa", "-o", "VALUE=o.tsv", "--stride", "VALUE=20", "--strand", "VALUE=average",
        *_RUN), "", a.of_nothing)
    yield Way("predict", "options", "s.fa", w.fasta, (), (
        "-m", CLASSIFIER, "-i", "s.fa", "-o", "VALUE=o.csv", "--strand", "VALUE=average", "--crop",
        "VALUE=left", *_RUN), "", a.of_nothing)
    yield Way("embed", "options", "s.fa", w.fasta, (), (
        *m, "-i", "s.fa", "-o", "VALUE=o.npz", "--stride", "VALUE=20", "--pooling", "VALUE=mean",
        "--layer", "VALUE=1", "--dtype", "VALUE=float16", *_RUN), "",
        a.of_nothing)
    yield Way("mutagenesis", "options", "s.bed", w.short_bed, (), (
        *m, "-g", "genome.fa", "-r", "s.bed", "-o", "VALUE=o.tsv", "--window", "VALUE=16", "--mode",
        "VALUE=exact", "--strand", "VALUE=forward", *_RUN), "", a.of_nothing, beside=_genome_fa())
    yield Way("score-vcf", "options", "v.vcf", w.vcf, (), (
        *m, "-g", "genome.fa", "-i", "v.vcf", "-o", "VALUE=o.vcf", "--window", "VALUE=32",
        "--strand", "VALUE=forward", *_RUN), "", a.of_nothing, beside=_genome_fa())
    yield Way("tracks", "options", "s.fa", w.fasta, (), (
        *m, "-g", "s.fa", "-o", "VALUE=o.bw", "--quantity", "VALUE=surprisal", "--stride",
        "VALUE=64", "--strand", "VALUE=forward", *_RUN), "", a.of_nothing)
    yield Way("info", "options", "s.fa", w.fasta, (), (
        "-m", "VALUE=" + MODEL, "--length", "VALUE=9", "--batch", "VALUE=2", "--json"), "",
        a.of_nothing)
    yield Way("evaluate perplexity", "options", "s.fa", w.genome, (), (
        *m, "-g", "s.fa", "--context-length", "VALUE=64", "--seed", "VALUE=1", "-o",
            "VALUE=o.json"),
        "", a.of_nothing)
    yield Way("pretrain", "options", "s.fa", w.genome, (), (
        "-g", "s.fa", "-o", "out", *_TINY, "--seed", "VALUE=1", "--preset", "VALUE=tiny", "--set",
        "VALUE=validations=0", "--set", "VALUE=workers=0", "--device", "VALUE=cpu"), "out",
        a.of_nothing, weight=0.2)
    yield Way("finetune", "options", "t.csv", w.table(","), (), (
        "--train", "t.csv", "-o", "out", *m, "--epochs", "VALUE=1", "--seeds", "1", "--crop",
        "VALUE=left", "--kind", "VALUE=auto", "--adapt", "VALUE=head", "--set",
        "VALUE=pooling=mean",
        "--sweep", "VALUE=learning_rate=0.01"), "out", a.of_nothing, weight=0.2)


def _tables():
    T, w, a = mutations.TEXT, wellformed, accounts
    for target, write in (
        ("t.csv", w.table(",")), ("t.tsv", w.table("\t")),
        ("t.csv.gz", lambda rng: mutations.bgzip(w.table(",")(rng))),
    ):
        changes = mutations.COMPRESSED if target.endswith("gz") else T
        for output in ("o.csv", "o.tsv"):
            yield Way("predict", "table", target, write, changes,
                      ("-m", CLASSIFIER, "-i", target, "-o", output), output, a.of_predict,
                      weight=1.0)
        yield Way("finetune", "table", target, write, changes,
                  ("--train", target, "-m", MODEL, *_ONCE, "-o", "out"), "out", a.of_model_folder,
                  weight=0.25)
    for target, write in (("t.csv", w.table(",")), ("t.tsv", w.table("\t"))):
        yield Way("embed", "table", target, write, T, ("-m", MODEL, "-i", target, "-o", "o.npz"),
                  "o.npz", a.of_embed_table)
    for target, write, more in (
        ("t.csv", w.values_table, ()), ("t.csv", w.several_labels, ("--kind", "multilabel")),
        ("t.csv", w.table(";"), ()),
    ):
        yield Way("finetune", "table of other labels", target, write, T,
                  ("--train", target, "-m", MODEL, *_ONCE, "-o", "out", *more), "out",
                  a.of_model_folder,
                  weight=0.2)
    yield Way("finetune", "table of places", "t.tsv", w.places_table, T,
              ("--train", "t.tsv", "-g", "genome.fa", "-m", MODEL, *_ONCE, "-o", "out"), "out",
              a.of_model_folder, beside=_genome_fa(), weight=0.2)
    yield Way("predict", "table of places", "t.tsv", w.places_table, T,
              ("-i", "t.tsv", "-g", "genome.fa", "-m", CLASSIFIER, "-o", "o.csv"), "o.csv",
              a.of_predict, beside=_genome_fa())
    yield Way("predict", "parquet", "t.parquet", w.parquet, mutations.BYTES,
              ("-m", CLASSIFIER, "-i", "t.parquet", "-o", "o.csv"), "o.csv", a.of_predict)
    yield Way("finetune", "parquet", "t.parquet", w.parquet, mutations.BYTES,
              ("--train", "t.parquet", "-m", MODEL, *_ONCE, "-o", "out"), "out", a.of_model_folder,
              weight=0.5)
    yield Way("finetune", "bed", "labels.bed", w.exon_bed, T,
              ("--train", "train.bed", "-g", "genome.fa", "--labels", "labels.bed", "-m", MODEL,
              *_ONCE,
               "-o", "out"), "out", a.of_model_folder,
              beside=_genome_fa() | {"train.bed": w.apart_bed}, weight=0.2)
    yield Way("finetune", "bedgraph", "labels.bedgraph", w.bedgraph, T,
              ("--train", "train.bed", "-g", "genome.fa", "--labels", "labels.bedgraph", "-m",
              MODEL,
               *_ONCE, "-o", "out"), "out", a.of_model_folder,
              beside=_genome_fa() | {"train.bed": w.apart_bed}, weight=0.2)
    yield Way("finetune", "class folder", "classes/pos.fa", w.class_fasta, T,
              ("--train", "classes", "-m", MODEL, *_ONCE, "-o", "out"), "out", a.of_model_folder,
              beside={"classes/neg.fa": w.class_fasta}, weight=0.2)


def _configs():
    w, a, Y = wellformed, accounts, mutations.YAML
    for write in (w.pretrain_yaml, w.genomes_yaml):
        yield Way("pretrain", "yaml", "c.yaml", write, Y, ("-c", "c.yaml", "-o", "out"), "out",
                  a.of_model_folder, beside=_genome_fa(), weight=0.2)
        yield Way("pretrain", "yaml", "c.yaml", write, Y, ("-c", "c.yaml", "--print-config"), "",
                  a.of_nothing, beside=_genome_fa(), weight=2)
    beside = {"table.csv": w.table(",")}
    yield Way("finetune", "yaml", "c.yaml", w.finetune_yaml, Y, ("-c", "c.yaml", "-o", "out"),
        "out",
              a.of_model_folder, beside=beside, weight=0.2)
    yield Way("finetune", "yaml", "c.yaml", w.finetune_yaml, Y, ("-c", "c.yaml",
        "--print-config"), "",
              a.of_nothing, beside=beside, weight=2)


def _models():
    a, w = accounts, wellformed
    j = mutations.JSON
    for folder in ("model", "classifier", "tagger", "prompted"):
        files = [
            ("config.json", j, "config.json", 1.5), ("fingerprint.json", j, "fingerprint", 0.2),
            ("model.safetensors", mutations.SAFETENSORS, "safetensors", 1.0),
            ("tokenizer.json", j, "tokenizer", 0.2), ("tokenizer_config.json", j, "tokenizer", 0.1),
        ]
        if folder == "model":
            files.append(("generation_config.json", j, "tokenizer", 0.1))
        else:
            files.append(("megabase.json", j, "record", 0.2))
        for name, changes, kind, weight in files:
            target, of = f"{folder}/{name}", {"folder": folder, "weight": weight}
            if folder == "model":
                yield Way("info", kind, target, w.gtf, changes, ("-m", folder, "--json"), "",
                    a.of_json,
                          **of)
                yield Way("convert", kind, target, w.gtf, changes, ("-i", folder, "-o", "out"),
                    "out",
                          a.of_model_folder, **of)
                yield Way("score", kind, target, w.gtf, changes,
                          ("-m", folder, "-i", "s.fa", "-o", "o.tsv"), "o.tsv", a.of_nothing,
                          beside={"s.fa": w.fasta}, **of)
            elif folder == "tagger":
                yield Way("predict", kind, target, w.gtf, changes,
                          ("-m", folder, "-i", "s.bed", "-g", "genome.fa", "-o", "o.csv"), "o.csv",
                          a.of_nothing, beside=_genome_fa() | {"s.bed": w.bed}, **of)
            else:
                yield Way("predict", kind, target, w.gtf, changes,
                          ("-m", folder, "-i", "s.fa", "-o", "o.csv"), "o.csv", a.of_nothing,
                          beside={"s.fa": w.fasta}, **of)
    for name, changes, kind in (
        ("weights.ckpt", mutations.CHECKPOINT, "ckpt"), ("config.json", j, "config.json"),
    ):
        target, of = f"released/{name}", {"folder": "released"}
        yield Way("convert", kind, target, w.gtf, changes, ("-i", "released", "-o", "out"), "out",
                  a.of_model_folder, **of)
        yield Way("info", kind, target, w.gtf, changes, ("-m", "released/weights.ckpt", "--json"),
            "",
                  a.of_json, **of)


def _tasks():
    T, w, a = mutations.TEXT, wellformed, accounts
    gb, nt = "human_enhancers_cohn", "nucleotide_transformer/enhancers"
    table = w.table(",", ("negative", "positive"))
    few = ("-m", MODEL, "-o", "out", *_ONCE)
    yield Way("evaluate", "task table", f"{gb}/train.csv", table, T,
              (f"genomic_benchmarks/{gb}", "--data", ".", *few), "out", a.of_model_folder,
              beside={f"{gb}/test.csv": table}, weight=0.1)
    yield Way("evaluate", "task table", f"{gb}/test.csv", table, T,
              (f"genomic_benchmarks/{gb}", "--data", ".", *few), "out", a.of_model_folder,
              beside={f"{gb}/train.csv": table}, weight=0.1)
    yield Way("evaluate", "task fasta", "enhancers/train.fna", w.labelled_fasta, T,
              (nt, "--data", ".", *few), "out", a.of_model_folder,
              beside={"enhancers/test.fna": w.labelled_fasta}, weight=0.1)
    others = {f"{gb}/{split}/{name}/{n}.txt": w.one_row for split in ("train", "test")
              for name in ("negative", "positive") for n in range(4)}
    yield Way("evaluate", "class folder", f"{gb}/train/negative/9.txt", w.one_row, T,
              (f"genomic_benchmarks/{gb}", "--data", ".", *few), "out", a.of_model_folder,
              beside=others, weight=0.1)
    for of, verb in ((("-g", "genome.fa"), "evaluate perplexity"), ((), "evaluate perplexity")):
        yield Way(verb, "record", "trained/megabase.json", w.gtf, mutations.JSON,
                  ("-m", "trained", *of, "-o", "o.json"), "o.json", a.of_json,
                  beside=_genome_fa(), folder="trained", weight=0.5)
    yield Way("convert", "record", "trained/megabase.json", w.gtf, mutations.JSON,
              ("-i", "trained", "-o", "out"), "out", a.of_model_folder, folder="trained",
              weight=0.3)
    yield Way("info", "record", "trained/megabase.json", w.gtf, mutations.JSON,
              ("-m", "trained", "--json"), "", a.of_json, folder="trained", weight=0.3)
    yield Way("evaluate", "maf", "human/apes_chr22.maf", w.maf, T,
              ("species/apes_chr22_256", "--length", "16", "--data", ".", *few), "out",
              a.of_model_folder, weight=0.3)
    yield Way("evaluate", "triples", "splice_eie/eie.ce.txt", w.triples, T,
              ("splice_triples/worm", "--data", ".", *few), "out", a.of_model_folder,
              weight=0.3)
    genome = {"human/chr20_grch37.fa": w.long_genome}
    exons, coding = "human/annotation_grch37/exons.tsv", "human/annotation_grch37/CDSs.tsv"
    yield Way("evaluate", "places", exons, w.exons_tsv, T,
              ("gene_structure/chr20", "--length", "64", "--data", ".", *few), "out",
              a.of_model_folder, beside=genome | {coding: w.exons_tsv}, weight=0.2)
    yield Way("evaluate", "places", "human/annotation_grch37/genes.tsv", w.genes_tsv, T,
              ("biotypes/human", "--probes", "--data", ".", *few), "out", a.of_model_folder,
              beside=genome, weight=0.2)
    yield Way("evaluate few-shot", "task table", f"{gb}/test.csv", table, T,
              (f"in_context/{gb}", "--data", ".", "-m", MODEL, "-o", "out", "--shots", "0,1",
              "--seeds",
               "1", "--queries", "4"), "out", a.of_nothing, beside={f"{gb}/train.csv": table},
              weight=0.5)


WAYS = (
    *_sequences(), *_genomes(), *_variants(), *_generation(), *_tables(), *_configs(), *_models(),
    *_tasks(),
)
"""All combinations."""
