"""Small well-formed inputs of every format, drawn at random, and the models that read them."""

import gzip
import io
import json
import os
import struct
import tempfile
from pathlib import Path
from random import Random

import pysam

from tests.fuzz.mutations import bgzip

CONTEXT = 256


def draw_letters(rng, n):
    return "".join(rng.choices("ACGT", k=n))


def _genome():
    rng = Random(1)
    contigs = {"chr1": draw_letters(rng, 700), "chr2": draw_letters(rng, 300)}
    masked = draw_letters(rng, 60)
    return contigs | {"chr3": masked[:20].lower() + "N" * 10 + masked[20:]}


GENOME = _genome()
"""The letters of each contig of the genome of regions and variants."""


def wrapped(name, letters, width=60):
    lines = [letters[start : start + width] for start in range(0, len(letters), width)]
    return "\n".join([f">{name}", *lines]) + "\n"


def genome(rng):
    return "".join(wrapped(f"{name} of a test", each) for name, each in GENOME.items()).encode()


def fasta(rng):
    names = rng.sample(["s1", "s2 length=3", "seq|3|x", "tr.4", "e:5-9", "f6\tg"], k=4)
    return "".join(
        wrapped(name, draw_letters(rng, rng.randrange(4, 90)), rng.choice((20, 60)))
        for name in names
    ).encode()


def one_fasta(rng):
    return wrapped("t", draw_letters(rng, 10) + "N" * 20).encode()


def fastq(rng):
    lines = []
    for number in range(4):
        letters = draw_letters(rng, rng.randrange(5, 60))
        qualities = "".join(rng.choices("@+!IFG#", k=len(letters)))
        lines += [f"@r{number} 1:N:0", letters, "+", qualities]
    return ("\n".join(lines) + "\n").encode()


def _interval(rng, longest=60):
    contig = rng.choice(list(GENOME))
    n = rng.randrange(5, longest)
    start = rng.randrange(len(GENOME[contig]) - n)
    return contig, start, start + n


def bed(rng):
    lines = []
    for number in range(rng.randrange(3, 7)):
        contig, start, end = _interval(rng)
        lines.append(f"{contig}\t{start}\t{end}\tregion{number}\t{number}\t{rng.choice('+-.')}\n")
    return "".join(lines).encode()


def short_bed(rng):
    lines = [
        f"{contig}\t{start}\t{start + 6}\tregion{number}\t0\t+\n"
        for number, (contig, start, _) in enumerate(_interval(rng) for _ in range(3))
    ]
    return "".join(lines).encode()


def bed12(rng):
    lines = []
    for number in range(3):
        contig, start, end = _interval(rng)
        first, last = rng.randrange(1, 3), rng.randrange(1, 3)
        blocks = f"2\t{first},{last},\t0,{end - start - last},"
        cells = (contig, start, end, f"t{number}", 0, rng.choice("+-"), start, end, "0,0,0", blocks)
        lines.append("\t".join(map(str, cells)) + "\n")
    return "".join(lines).encode()


def apart_bed(rng):
    """Write regions of chr1 and chr2, 40 bp each, that do not touch."""
    return "".join(
        f"{contig}\t{start}\t{start + 40}\tr{start}\t0\t+\n"
        for contig, end in (("chr1", 600), ("chr2", 250))
        for start in range(0, end, 60)
    ).encode()


def exon_bed(rng):
    return "".join(
        f"{contig}\t{start}\t{start + 15}\t{rng.choice(('exon', 'cds'))}\t0\t+\n"
        for contig, end in (("chr1", 600), ("chr2", 250))
        for start in range(rng.randrange(10), end, 30)
    ).encode()


def bedgraph(rng):
    return "".join(
        f"{contig}\t{start}\t{start + 30}\t{rng.uniform(-1, 1):.3f}\n"
        for contig, end in (("chr1", 600), ("chr2", 250))
        for start in range(0, end, 30)
    ).encode()


_VCF_HEADER = (
    "##fileformat=VCFv4.2\n"
    '##FILTER=<ID=q10,Description="Quality below 10">\n'
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">\n'
    '##INFO=<ID=END,Number=1,Type=Integer,Description="End">\n'
    '##ALT=<ID=DEL,Description="Deletion">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "##contig=<ID=chr1,length=700>\n##contig=<ID=chr2,length=300>\n##contig=<ID=chr3,length=70>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone\ttwo\n"
)


def _alts(rng, ref):
    other = rng.choice([base for base in "ACGT" if base != ref[0]])
    return rng.choice(
        (
            other,
            other,
            other,
            ref + draw_letters(rng, 3),
            f"{other},<DEL>",
            ".",
            f"{other},*",
            "<DEL>",
        )
    )


def vcf(rng):
    lines = []
    for contig, letters in GENOME.items():
        for place in sorted(rng.sample(range(len(letters)), k=rng.randrange(1, 5))):
            ref = letters[place : place + rng.choice((1, 1, 1, 2, 4))].upper()
            info = rng.choice(("DP=3", "DP=7", ".", "END=700"))
            name = rng.choice((".", f"rs{place}"))
            lines.append(
                f"{contig}\t{place + 1}\t{name}\t{ref}\t{_alts(rng, ref)}\t50\tPASS\t{info}"
                "\tGT\t0/1\t1|0\n"
            )
    return (_VCF_HEADER + "".join(lines)).encode()


def vcf_bgzip(rng):
    return bgzip(vcf(rng))


def vcf_gzip(rng):
    return gzip.compress(vcf(rng), mtime=0)


def bcf(rng):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.vcf"
        path.write_bytes(vcf(rng))
        with (
            pysam.VariantFile(str(path)) as source,
            pysam.VariantFile(str(path.with_suffix(".bcf")), "wb", header=source.header) as target,
        ):
            for record in source:
                target.write(record)
        return path.with_suffix(".bcf").read_bytes()


def chrom_map(rng):
    return b"chr1\tchr1\nchr2\tchr2\n"


def twobit(rng):
    """Write the genome as 2bit, following the description of the format."""
    names = b"".join(struct.pack("<B", len(name)) + name.encode() + b"%s" for name in GENOME)
    start = 16 + sum(5 + len(name) for name in GENOME)
    offsets, records = [], b""
    for letters in GENOME.values():
        offsets.append(struct.pack("<I", start + len(records)))
        records += _twobit_record(letters)
    head = struct.pack("<4I", 0x1A412743, 0, len(GENOME), 0)
    return head + names % tuple(offsets) + records


def _twobit_record(letters):
    def runs(test):
        found, at = [], 0
        while at < len(letters):
            end = at
            while end < len(letters) and test(letters[end]):
                end += 1
            if end > at:
                found.append((at, end - at))
            at = end + 1
        starts, sizes = zip(*found, strict=True) if found else ((), ())
        return struct.pack(f"<{1 + 2 * len(found)}I", len(found), *starts, *sizes)

    codes = ["TCAGT".index(each.upper()) % 4 if each.upper() != "N" else 0 for each in letters]
    codes += [0] * (-len(codes) % 4)
    packed = bytes(
        codes[i] << 6 | codes[i + 1] << 4 | codes[i + 2] << 2 | codes[i + 3]
        for i in range(0, len(codes), 4)
    )
    unknown, lower = runs(lambda each: each in "Nn"), runs(str.islower)
    return struct.pack("<I", len(letters)) + unknown + lower + struct.pack("<I", 0) + packed


def gtf(rng):
    lines = ["#!genome-build test\n"]
    for number in range(3):
        contig, start, end = _interval(rng)
        strand = rng.choice("+-")
        notes = f'gene_id "g{number}"; transcript_id "t{number}";'
        spans = (("transcript", start + 1, end), ("exon", start + 1, start + 2), ("exon", end, end))
        for kind, first, last in spans:
            lines.append(f"{contig}\ttest\t{kind}\t{first}\t{last}\t.\t{strand}\t.\t{notes}\n")
    return "".join(lines).encode()


def maf(rng):
    lines = ["##maf version=1\n\n"]
    for _ in range(6):
        letters = draw_letters(rng, 40)
        lines.append("a score=1\n")
        for source in ("Hsap.chr22", "Ptro.chr22", "Ggor.chr22", "Ppyg.chr22"):
            copy = list(letters)
            for place in rng.sample(range(40), k=3):
                copy[place] = rng.choice("ACGT-")
            n = 40 - copy.count("-")
            lines.append(f"s {source} {rng.randrange(1000)} {n} + 50000 {''.join(copy)}\n")
        lines.append("\n")
    return "".join(lines).encode()


def rows(rng, n=14, classes=("neg", "pos")):
    return [(draw_letters(rng, rng.randrange(8, 40)), classes[i % len(classes)]) for i in range(n)]


def table(delimiter, classes=("neg", "pos")):
    def write(rng):
        lines = [("id", "sequence", "label")]
        lines += [(f"r{i}", *row) for i, row in enumerate(rows(rng, classes=classes))]
        return "".join(delimiter.join(line) + "\n" for line in lines).encode()

    return write


def values_table(rng):
    lines = ["sequence,label\n"]
    lines += [f"{letters},{rng.uniform(-3, 3):.4f}\n" for letters, _ in rows(rng)]
    return "".join(lines).encode()


def several_labels(rng):
    names = (";".join(rng.sample(("a", "b", "c"), k=rng.randrange(4))) for _ in range(14))
    lines = [f"{letters},{name}\n" for (letters, _), name in zip(rows(rng), names, strict=True)]
    return ("sequence,label\nACGTACGTA,a;b\nTTTACGACA,c\n" + "".join(lines)).encode()


def places_table(rng):
    lines = ["contig\tstart\tend\tstrand\tlabel\n"]
    for number in range(14):
        contig, start, end = _interval(rng)
        lines.append(f"{contig}\t{start}\t{end}\t{rng.choice('+-.')}\t{'ab'[number % 2]}\n")
    return "".join(lines).encode()


_CELLS = (
    None, "", "neg", "pos", 1, 1.5, float("nan"), True, b"neg", b"\xff\xfe", ["a", "b"], {"a": 1},
    [1.0], "é", "a\tb",
)  # fmt: skip


def parquet(rng):
    """Write a table of text; sometimes with a column or cell of another type."""
    import pyarrow  # noqa: PLC0415 an extra
    from pyarrow import parquet as file  # noqa: PLC0415 likewise

    letters, labels = map(list, zip(*rows(rng), strict=True))
    columns = {"sequence": letters, "label": labels, "note": ["x"] * len(letters)}
    if rng.random() < 0.6:
        name, cell = rng.choice(list(columns)), rng.choice(_CELLS)
        columns[name] = rng.choice(([cell] * len(letters), [cell, *[None] * (len(letters) - 1)]))
    stream = io.BytesIO()
    file.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def pretrain_yaml(rng):
    return (
        b"genome: genome.fa\nsteps: 1\ncontext_length: 16\ntokens_per_step: 32\n"
        b"architecture:\n  d_model: 8\n  n_layer: 1\nvalidations: 1\nvalidation_windows: 2\n"
        b"learning_rate: 1e-3\nseed: 3\n"
        b"split:\n  test_contigs: [chr3]\n  validation_fraction: 0.1\n"
    )


def genomes_yaml(rng):
    return (
        b"genomes:\n  one:\n    path: genome.fa\n    weight: 2\n    contigs: [chr1]\n"
        b"  two:\n    path: genome.fa\n    contigs: [chr2]\n    split:\n"
        b"      test_regions: ['chr2:1-50']\n      validation_regions: ['chr2:101-200']\n"
        b"steps: 1\ncontext_length: 16\ntokens_per_step: 32\n"
        b"architecture: {d_model: 8, n_layer: 1}\n"
        b"validations: 1\nvalidation_windows: 2\nsoft_mask_weight: 0.5\n"
    )


def finetune_yaml(rng):
    return (
        b"train: table.csv\nmodel: ../assets/model\nepochs: 1\nn_seeds: 1\nbatch_size: 8\n"
        b"learning_rate: 1e-3\nadapt: head\npooling: mean\npatience: 2\nkind: auto\n"
    )


def genes_tsv(rng):
    lines = ["chrom\tstart\tend\tStrand\tgene_type\n"]
    for number in range(60):
        start = 1 + number * 60
        name = ("protein_coding", "lncRNA")[number % 2]
        lines.append(
            f"chr20\t{start}\t{start + rng.randrange(20, 58)}\t{rng.choice('+-')}\t{name}\n"
        )
    return "".join(lines).encode()


def exons_tsv(rng):
    lines = ["chrom\tstart\tend\n"]
    lines += [f"chr20\t{start + 1}\t{start + 25}\n" for start in range(0, 3500, 100)]
    return "".join(lines).encode()


def long_genome(rng):
    return wrapped("20", draw_letters(Random(3), 3700)).encode()


def triples(rng):
    return "".join(
        f"{draw_letters(rng, 9)} {draw_letters(rng, 15)} {draw_letters(rng, 9)} "
        f"{rng.randrange(1, 50)} g{i}\n"
        for i in range(20)
    ).encode()


def labelled_fasta(rng):
    return "".join(
        f">x{i}|{label}\n{each}\n" for i, (each, label) in enumerate(rows(rng, classes="01"))
    ).encode()


def one_row(rng):
    return draw_letters(rng, 20).encode() + b"\n"


def class_fasta(rng):
    return "".join(
        wrapped(f"c{i}", letters) for i, (letters, _) in enumerate(rows(rng, 8))
    ).encode()


def make_assets(folder):
    """Write the models that cases read, such as a language model and a released .ckpt."""
    import torch  # noqa: PLC0415 takes long

    from megabase.model.config import HyenaDNAConfig  # noqa: PLC0415 likewise
    from megabase.model.load import save  # noqa: PLC0415 likewise
    from megabase.model.modeling import HyenaDNAForCausalLM  # noqa: PLC0415 likewise
    from megabase.model.released import to_published  # noqa: PLC0415 likewise

    torch.manual_seed(0)
    shape = HyenaDNAConfig(d_model=8, n_layer=1, filter_order=16, max_seq_len=CONTEXT + 2)
    model = HyenaDNAForCausalLM(shape).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    save(model, folder / "model")
    released = folder / "released"
    released.mkdir()
    tensors = to_published(model.state_dict(), shape, layout="lightning")
    torch.save({"state_dict": tensors, "epoch": 3}, released / "weights.ckpt")
    original = {
        "d_model": shape.d_model, "n_layer": shape.n_layer, "d_inner": shape.d_inner,
        "vocab_size": 12, "embed_dropout": 0.1, "resid_dropout": 0.0, "residual_in_fp32": True,
        "pad_vocab_size_multiple": 8,
        "layer": {
            "_name_": "hyena", "l_max": shape.max_seq_len, "emb_dim": 5, "filter_order": 16,
            "short_filter_order": 3, "modulate": True, "w": 10, "lr": 6e-4, "wd": 0.0,
            "lr_pos_emb": 0.0,
        },
    }  # fmt: skip
    (released / "config.json").write_text(json.dumps(original))
    (folder / "table.csv").write_bytes(table(",")(Random(0)))
    (folder / "genome.fa").write_bytes(genome(Random(0)))
    (folder / "regions.bed").write_bytes(apart_bed(Random(0)))
    (folder / "exons.bed").write_bytes(exon_bed(Random(0)))


CLASSIFIER = (
    "finetune", "--train", "table.csv", "--model", "model", "--output", "classifier", "--epochs",
    "1",
    "--seeds", "1",
)  # fmt: skip
TAGGER = (
    "finetune", "--train", "regions.bed", "--genome", "genome.fa", "--labels", "exons.bed",
    "--model",
    "model", "--output", "tagger", "--epochs", "1", "--seeds", "1",
)  # fmt: skip
PROMPTED = (
    "finetune", "--train", "table.csv", "--model", "model", "--output", "prompted", "--epochs", "1",
    "--seeds", "1", "--adapt", "prompt", "--set", "prompt_tokens=4",
)  # fmt: skip


TRAINED = (
    "pretrain", "--genome", "genome.fa", "--output", "trained", "--steps", "1", "--context-length",
    "32", "--set", "architecture={d_model: 8, n_layer: 1}", "--set", "tokens_per_step=64", "--set",
    "validations=0", "--set", "split={test_contigs: [chr2], validation_fraction: 0.1}",
)  # fmt: skip
MADE = (CLASSIFIER, TAGGER, PROMPTED, TRAINED)
"""Commands that train the other models, run in the folder of `make_assets`."""


def folder_files(folder, name):
    """Return the files of a folder of models, with paths below `name`."""
    return {
        f"{name}/{path.name}": path.read_bytes()
        for path in sorted(Path(folder).iterdir())
        if path.is_file() and os.access(path, os.R_OK)
    }
