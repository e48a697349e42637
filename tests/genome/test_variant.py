"""Windows of two alleles are equally long, whole, within their contigs, and the same everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.variant import allele_windows


@st.composite
def cases(draw):
    contig_length = draw(st.integers(1, 200))
    position = draw(st.integers(0, contig_length - 1))
    n_ref = draw(st.integers(1, min(20, contig_length - position)))
    return {
        "contig_length": contig_length,
        "position": position,
        "n_ref": n_ref,
        "n_alt": draw(st.integers(1, 20)),
        "window": draw(st.integers(2, 100)),
    }


@given(cases())
def test_both_windows_are_equally_long_and_lie_within_their_contigs(case):
    windows = allele_windows(**case)
    if windows is None:
        return
    alt_contig = case["contig_length"] - case["n_ref"] + case["n_alt"]
    room = case["contig_length"] - case["position"] - case["n_ref"]
    for before, n, after in (
        (windows.before_ref, case["n_ref"], windows.after_ref),
        (windows.before_alt, case["n_alt"], windows.after_alt),
    ):
        assert before + n + after == windows.length
        assert 0 <= before <= case["position"]
        assert 0 <= after <= room
    assert windows.length == min(case["window"], case["contig_length"], alt_contig)


@given(cases())
def test_a_window_is_refused_only_where_an_allele_is_longer_than_its_half(case):
    longest = max(case["n_ref"], case["n_alt"])
    alt_contig = case["contig_length"] - case["n_ref"] + case["n_alt"]
    length = min(case["window"], case["contig_length"], alt_contig)
    assert (allele_windows(**case) is None) == (longest > (length + 1) // 2)


@given(cases(), st.integers(0, 1000))
def test_away_from_the_ends_nothing_of_the_contig_matters(case, further):
    windows = allele_windows(**case)
    if windows is None or windows.is_at_edge:
        return
    moved = case | {
        "contig_length": case["contig_length"] + 2 * further,
        "position": case["position"] + further,
    }
    assert allele_windows(**moved) == windows
    assert windows.before_ref == windows.before_alt == case["window"] // 2


@pytest.mark.parametrize(
    ("position", "n_ref", "n_alt", "expected"),
    [
        (50, 1, 1, (8, 4, 4, 3, 3, False)),
        (50, 1, 3, (8, 4, 4, 3, 1, False)),
        (50, 3, 1, (8, 4, 4, 1, 3, False)),
        (2, 1, 1, (8, 2, 2, 5, 5, True)),
        (99, 1, 1, (8, 7, 7, 0, 0, True)),
        (99, 1, 3, (8, 7, 5, 0, 0, True)),
    ],
)
def test_windows_at_known_places(position, n_ref, n_alt, expected):
    found = allele_windows(contig_length=100, position=position, n_ref=n_ref, n_alt=n_alt, window=8)
    assert tuple(found) == expected


def test_a_contig_shorter_than_the_window_shortens_both():
    found = allele_windows(contig_length=10, position=9, n_ref=1, n_alt=3, window=64)
    assert tuple(found) == (10, 9, 7, 0, 0, True)


def test_a_window_that_the_contig_shortens_only_after_the_allele_is_at_an_edge():
    found = allele_windows(contig_length=12, position=8, n_ref=1, n_alt=1, window=16)
    assert found is not None
    assert (found.before_ref, found.before_alt, found.is_at_edge) == (8, 8, True)
