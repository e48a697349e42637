"""Write the letters of each species of a multiple alignment (MAF) as FASTA, without gaps.

The rows of the blocks follow each other in the order of the file, with an N between two. Blocks
that lack the first species are left out.

python scripts/aligned_species.py apes_chr22.maf.gz --output apes
"""

import argparse
from collections import defaultdict
from pathlib import Path

from megabase.io.fasta import write_fasta
from megabase.io.maf import read_maf


def main() -> None:
    """Read the alignment, and write one file for each species."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("alignment", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder")
    options = parser.parse_args()
    parts: dict[str, list[str]] = defaultdict(list)
    first = None
    for rows in read_maf(options.alignment):
        first = first or rows[0].species
        if all(row.species != first for row in rows):
            continue
        for row in rows:
            parts[row.species].append(row.letters.replace("-", ""))
    options.output.mkdir(parents=True, exist_ok=True)
    for species, letters in parts.items():
        path = options.output / f"{species}.fa"
        with path.open("w", encoding="utf-8") as file:
            write_fasta(file, species, "N".join(letters))
        print(f"{path}: {len(letters):,} blocks, {sum(map(len, letters)):,} letters")


if __name__ == "__main__":
    main()
