"""Score a VCF file whole, killed and resumed, and in two shards: the records must be equal.

python scripts/score_vcf_ways.py --model model --genome sacCer3.fa.gz --input variants.vcf.gz

`--first 500` uses only the first 500 records. Two runs of one thread each run at a time: first the
whole and the killed one, then the shards. The outputs are read back by bcftools, and through their
index, contig by contig.
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import pysam
import pysam.bcftools
import typer

from megabase.io.derived_files import file_sha256
from megabase.runtime.environment import machine, versions

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


class Run:
    """Run `megabase score-vcf` with its own output.

    Attributes
    ----------
    seconds
        Duration since the last start.
    """

    seconds = 0.0

    def __init__(self, arguments: list[str], output: Path) -> None:
        self.output = output
        self._command = [
            sys.executable, "-m", "megabase", "score-vcf", *arguments, "--output", str(output),
            "--quiet",
        ]  # fmt: skip

    def finish(self) -> None:
        """Run to the end."""
        started = time.monotonic()
        subprocess.run(self._command, stdout=subprocess.DEVNULL, env=ONE_THREAD, check=True)
        self.seconds = time.monotonic() - started

    def finish_after_kill(self, n_records: int) -> int:
        """Kill the run after `n_records` records, resume it, and return how many were done."""
        process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, env=ONE_THREAD)
        while self._n_done() < n_records and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        process.wait()
        n_done = self._n_done()
        if not n_done:
            sys.exit("the run finished or failed before it could be killed; use more records")
        self.finish()
        return n_done

    def _n_done(self) -> int:
        note = self.output.with_name(f".{self.output.name}.parts") / "done.json"
        return json.loads(note.read_text(encoding="utf-8"))["n_records"] if note.exists() else 0

    def records(self) -> list[str]:
        """Read the records back by bcftools; the index must lead to as many."""
        lines = pysam.bcftools.view("-H", str(self.output)).splitlines()
        with pysam.VariantFile(str(self.output)) as file:
            contigs = dict.fromkeys(line.partition("\t")[0] for line in lines)
            n_indexed = sum(1 for contig in contigs for _ in file.fetch(contig))
        if n_indexed != len(lines):
            sys.exit(f"the index of {self.output.name} finds {n_indexed} of {len(lines)} records")
        return lines


def take(source: Path, first: int, folder: Path) -> Path:
    """Write the first records of a file to a new file and return its path."""
    target = folder / "first.vcf.gz"
    with pysam.VariantFile(str(source)) as file:
        with pysam.VariantFile(str(target), "wz", header=file.header) as part:
            for record in islice(file, first):
                part.write(record)
    return target


def sites(lines: list[str]) -> list[list[str]]:
    """Return contig, position, name and alleles of each record."""
    return [line.split("\t")[:5] for line in lines]


def main(
    model: Annotated[str, typer.Option(help="Model folder.")],
    genome: Annotated[Path, typer.Option(help="FASTA or 2bit.")],
    source: Annotated[Path, typer.Option("--input", help="VCF.")],
    first: Annotated[int | None, typer.Option(help="Use only the first N records.")] = None,
    window: Annotated[int | None, typer.Option(help="Window of score-vcf in bp.")] = None,
) -> None:
    """Compare the three ways; the exit code is 1 if they differ."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        taken = source if first is None else take(source, first, folder)
        arguments = ["--model", model, "--genome", str(genome), "--input", str(taken)]
        arguments += [] if window is None else ["--window", str(window)]
        before = pysam.bcftools.view("-H", str(taken)).splitlines()
        plain, killed = (Run(arguments, folder / f"{each}.vcf.gz") for each in ("plain", "killed"))
        shards = [Run([*arguments, "--shard", f"{i}/2"], folder / f"{i}.vcf.gz") for i in (1, 2)]
        with ThreadPoolExecutor() as pool:
            whole = pool.submit(plain.finish)
            n_done = killed.finish_after_kill(len(before) // 2)
            whole.result()
            list(pool.map(Run.finish, shards))
        pairs = zip_longest(*(shard.records() for shard in shards))
        joined = [line for line in chain.from_iterable(pairs) if line is not None]
        records = plain.records()
        same = {
            "every record, in order": sites(records) == sites(before),
            f"killed after {n_done:,} records": killed.records() == records,
            "two shards": joined == records,
        }
        n_scored = sum("MB_LLR=" in line for line in records)
        print(f"{machine()}; {versions()}")
        print(f"{len(records):,} records, {n_scored:,} of them scored; sha256 {file_sha256(taken)}")
        print(
            "; ".join(
                f"{run.output.name}: {run.seconds:,.0f} s" for run in (plain, killed, *shards)
            )
        )
        print("; ".join(f"{way}: {'same' if ok else 'DIFFERENT'}" for way, ok in same.items()))
    sys.exit(not all(same.values()))


if __name__ == "__main__":
    typer.run(main)
