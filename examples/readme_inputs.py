"""Write the small inputs of the six examples in README, from the E. coli genome that ships.

python examples/readme_inputs.py

The tables for fine-tuning have stretches of 200 bases of the genome and the same stretches with
shuffled dinucleotides. The test rows lie in the tenth that the shipped model has not seen.
"""

from pathlib import Path

import numpy as np

import megabase
from megabase.genome.shuffle import shuffle_dinucleotides

CONTIG = "K-12-MG1655"
RPOB = megabase.Interval(CONTIG, 4_179_267, 4_183_296)
GENES = {"rpoB": RPOB, "rpoC start": megabase.Interval(CONTIG, 4_183_372, 4_184_372)}
VARIANTS = (
    (4_179_868, "missense", "C", "A"),
    (4_179_873, "synonymous", "T", "A"),
    (4_179_874, "stop_gained", "A", "T"),
)
"""Substitutions of rpoB: POS of a VCF file (1-based), consequence, REF, ALT."""
BASES = 200


def main() -> None:
    """Write genes.bed, start.bed, in.vcf, prompt.fa, train.csv, test.csv and new.csv."""
    genome = megabase.open_genome("asset:ecoli")
    genes = (f"{CONTIG}\t{place.start}\t{place.end}\t{name}\n" for name, place in GENES.items())
    write("genes.bed", *genes)
    write("start.bed", f"{CONTIG}\t{RPOB.start}\t{RPOB.start + 30}\n")
    head = f"##fileformat=VCFv4.2\n##contig=<ID={CONTIG}>\n"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    write("in.vcf", head, columns, *("\t".join([CONTIG, str(pos), name, ref, alt, ".", ".", ".\n"])
                            for pos, name, ref, alt in VARIANTS))  # fmt: skip
    write("prompt.fa", ">rpoB_start\n", genome.fetch(RPOB)[:300], "\n")
    rng = np.random.default_rng(0)
    for name, n, low, high in (
        ("train", 200, 0, 4_000_000),
        ("test", 50, 4_175_707, 4_639_000),
        ("new", 2, 4_300_000, 4_600_000),
    ):
        lines = ["sequence,label\n" if name != "new" else "sequence\n"]
        for start in rng.integers(low, high, n).tolist():
            letters = genome.fetch(megabase.Interval(CONTIG, start, start + BASES))
            for row, label in (
                (letters, "genome"),
                (shuffle_dinucleotides(letters, rng), "shuffled"),
            ):
                lines.append(f"{row},{label}\n" if name != "new" else f"{row}\n")
        write(f"{name}.csv", *lines)


def write(name: str, *texts: str) -> None:
    """Write a file in the current folder."""
    Path(name).write_text("".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
