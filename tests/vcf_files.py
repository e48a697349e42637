"""Write VCF files for tests, in each supported format."""

import gzip

import pysam
import pysam.bcftools

COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
HEADER = (
    "##fileformat=VCFv4.2\n"
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "##contig=<ID=chrI,length=400>\n"
)


def vcf_text(rows, header=HEADER):
    """Return the text of a VCF file with rows (contig, 1-based position, ref, alt, info)."""
    lines = [
        f"{contig}\t{position}\trs{n}\t{ref}\t{alt}\t50\tPASS\t{info}\tGT\t0/1\n"
        for n, (contig, position, ref, alt, info) in enumerate(rows)
    ]
    return f"{header}{COLUMNS}\tFORMAT\tsample\n{''.join(lines)}"


def write_vcf_file(path, text):
    """Write text in the format of the suffix (.vcf, .gz, .gzip, .bcf); return the path."""
    match path.suffix:
        case ".gz":
            with pysam.BGZFile(str(path), "wb") as file:
                file.write(text.encode())
        case ".gzip":
            path.write_bytes(gzip.compress(text.encode()))
        case ".bcf":
            plain = path.with_suffix(".vcf")
            plain.write_text(text)
            pysam.bcftools.view("-Ob", "-o", str(path), str(plain), catch_stdout=False)
        case _:
            path.write_text(text)
    return path
