"""Convert the shipped E. coli genome from FASTA to 2bit, with its checksums.

python scripts/make_ecoli_asset.py ecoli_K12_MG1655.fasta.gz
"""

import hashlib
import json
import sys
from importlib.resources import files
from pathlib import Path

from megabase.genome.interval import Interval
from megabase.io.derived_files import file_sha256
from megabase.io.fasta import FastaReference
from megabase.io.twobit import write_twobit
from megabase.runtime.location import cache_folder

fasta = FastaReference(Path(sys.argv[1]), cache=cache_folder())
assets = Path(str(files("megabase") / "assets"))
((contig, length),) = fasta.lengths.items()
letters = fasta.fetch(Interval(contig, 0, length))
write_twobit(fasta, assets / "ecoli.2bit")
about = {
    "organism": "Escherichia coli str. K-12 substr. MG1655",
    "accession": "GenBank U00096.2",
    "licence": "public domain",
    "contig": contig,
    "length_bp": length,
    "sha256_of_letters": hashlib.sha256(letters.encode()).hexdigest(),
    "sha256_of_file": file_sha256(assets / "ecoli.2bit"),
}
(assets / "ecoli.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
