"""A compressor is charged for the scored bases only, after the past that the model knows."""

import sys
import zlib

import numpy as np
import pytest

from megabase.data.token_store import open_token_store
from megabase.errors import InputError, WorkError
from megabase.evaluation.compressor import compress, parse_command
from megabase.evaluation.perplexity import bits_rows, evaluate_held_out
from megabase.genome.interval import Interval
from megabase.model.load import save
from tests import toys

ZLIB = """
import sys, zlib
letters = open(sys.argv[-1], "rb").read()
open(sys.argv[-1] + ".z", "wb").write(zlib.compress(letters, 9))
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "squeeze.py").write_text(ZLIB)
    return f"{sys.executable} {tmp_path / 'squeeze.py'}"


@pytest.fixture
def contigs():
    return {"one": toys.letters(600) + "NNN" + toys.letters(400, 1), "two": toys.letters(300, 2)}


@pytest.fixture
def genome(tmp_path, contigs):
    return toys.write_fasta(tmp_path / "genome.fa", contigs)


def _size(*parts):
    return len(zlib.compress("".join(parts).replace("N", "").encode(), 9))


def test_the_cost_is_that_of_the_whole_minus_that_of_the_past(tmp_path, program, genome, contigs):
    store = open_token_store(genome, cache=tmp_path)
    regions = [Interval("one", 590, 800)]
    known = [Interval("one", 0, 500), Interval("one", 900, 1000), Interval("two", 0, 250)]
    found = compress(program, store, regions, known)
    one, two = contigs["one"], contigs["two"]
    past = one[900:1000] + two[:250] + one[:590]
    bits = 8 * (_size(past, one[590:800]) - _size(past))
    assert found.bits_per_base == bits / 207  # three of the 210 are N
    assert found.microseconds_per_base >= 0
    assert found.command == program


def test_a_compressor_without_a_past(tmp_path, program, genome, contigs):
    store = open_token_store(genome, cache=tmp_path)
    found = compress(program, store, [Interval("two", 0, 300)], [])
    assert found.bits_per_base == 8 * _size(contigs["two"]) / 300


def test_a_missing_or_failing_program_is_an_error(tmp_path, genome):
    with pytest.raises(InputError, match=r"there is no program 'no/such'"):
        parse_command("no/such -l 3")
    store = open_token_store(genome, cache=tmp_path)
    regions = [Interval("two", 0, 300)]
    with pytest.raises(WorkError, match=r"exit code 3 .*it said: bad level"):
        compress(f"{sys.executable} -c 'import sys; print(\"bad level\"); sys.exit(3)'", store, regions, [])  # fmt: skip # noqa: E501
    with pytest.raises(WorkError, match=r"exit code 0 and wrote 0 bytes"):
        compress(f"{sys.executable} -c 'pass'", store, regions, [])


def test_the_report_names_the_compressor_and_its_bits(tmp_path, program, genome):
    save(toys.model(), tmp_path / "model")
    report = evaluate_held_out(str(tmp_path / "model"), str(genome), compressor=program)
    assert report["compressor"]["bits_per_base"] > 1.9
    rows = {name: (bits, rest) for name, bits, rest in bits_rows(report)}
    bits, rest = rows["compressor"]
    assert np.isclose(float(bits), report["compressor"]["bits_per_base"], atol=1e-4)
    assert program in rest
