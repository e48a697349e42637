"""Windows may lie anywhere in the regions, and hold few N."""

from collections import Counter

import numpy as np
import pytest

from megabase.data.token_store import open_token_store
from megabase.data.training_windows import WindowSampler, spread_windows
from megabase.genome.interval import Interval
from tests.toys import letters, write_fasta

REGIONS = [Interval("chrI", 10, 50), Interval("chrII", 0, 25), Interval("chrII", 90, 95)]


@pytest.fixture
def store(tmp_path):
    contigs = {"chrI": letters(100), "chrII": letters(100, seed=1), "chrN": "N" * 60 + "ACGT" * 10}
    return open_token_store(write_fasta(tmp_path / "genome.fa", contigs), cache=tmp_path)


def sampler(store, regions=REGIONS, **changes):
    options = {"longest": 20, "reverse_complement_p": 0.5, "max_unknown_fraction": 0.1}
    return WindowSampler(store, regions, **(options | changes))


def draw(sampler, n, length=20):
    rng = np.random.default_rng(0)
    return [sampler.draw(rng, length).interval for _ in range(n)]


def test_the_generator_alone_decides(store):
    assert draw(sampler(store), 9) == draw(sampler(store), 9)


def test_every_place_of_every_region_is_drawn_about_as_often(store):
    drawn = draw(sampler(store), 4000)
    starts = Counter((w.contig, w.start) for w in drawn)
    places = [("chrI", s) for s in range(10, 31)] + [("chrII", s) for s in range(6)]
    assert set(starts) == set(places)  # 27 places, none in the region that is too short
    assert min(starts.values()) > 0.6 * 4000 / 27
    assert max(starts.values()) < 1.4 * 4000 / 27
    assert all(len(w) == 20 for w in drawn)


def test_shorter_windows_lie_in_shorter_regions_too(store):
    drawn = draw(sampler(store), 500, length=5)
    assert any(w.start >= 90 for w in drawn)
    assert all(any(r.contig == w.contig and r.start <= w.start < w.end <= r.end for r in REGIONS)
               for w in drawn)  # fmt: skip


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_the_other_strand_is_drawn_with_probability_p(store, p):
    drawn = draw(sampler(store, reverse_complement_p=p), 1000)
    assert np.mean([w.strand == "-" for w in drawn]) == pytest.approx(p, abs=0.05)


def test_windows_with_too_many_n_are_skipped(store):
    whole = [Interval("chrN", 0, 100)]
    drawn = draw(sampler(store, whole, max_unknown_fraction=0.25), 200)
    assert min(w.start for w in drawn) == 55  # 5 N of 20


def test_a_genome_of_n_is_an_error(store):
    with pytest.raises(ValueError, match="each has more than 2 N"):
        draw(sampler(store, [Interval("chrN", 0, 60)]), 1)


def test_no_region_long_enough_is_an_error(store):
    with pytest.raises(ValueError, match=r"holds a window of 41 bp \(the longest has 40 bp\)"):
        sampler(store, longest=41)


def test_windows_are_spread_evenly_and_those_with_n_skipped(store):
    regions = [Interval("chrI", 0, 95), Interval("chrN", 0, 100)]
    found = spread_windows(store, regions, length=20, n=3, max_unknown=0)
    assert [window.interval for window in found] == [
        Interval("chrI", 0, 20),
        Interval("chrI", 40, 60),
        Interval("chrN", 60, 80),
    ]  # of six whole ones, four of chrI and two of chrN
    assert len(spread_windows(store, regions, length=20, n=99, max_unknown=20)) == 9
    assert spread_windows(store, regions, length=200, n=3, max_unknown=0) == []
