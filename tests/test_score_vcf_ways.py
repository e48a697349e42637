"""The first yeast records are identical when scored whole, after a kill, and in shards."""

import subprocess
import sys
from pathlib import Path

import pytest

from megabase.model.load import save
from tests import toys

SCRIPT = Path(__file__).parents[1] / "scripts" / "score_vcf_ways.py"


@pytest.mark.slow
def test_500_yeast_records_are_identical_in_three_ways(shared, tmp_path):
    save(toys.model(), tmp_path / "model")
    done = subprocess.run(
        [
            *(sys.executable, SCRIPT, "--model", tmp_path / "model", "--first", "500"),
            *("--genome", shared / "data/genomes/yeast/sacCer3.fa.gz"),
            *("--input", shared / "data/variants/sacCer3_sample_variants.vcf.gz"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "500 records, 500 of them scored" in done.stdout
    assert done.stdout.count("the same") == 3
