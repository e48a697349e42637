"""A variant's score is that of two equally long windows, whatever else is scored."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.genome.reference import MemoryReference
from megabase.genome.variant import Site
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.inference.likelihood import log_likelihoods
from megabase.inference.score_variants import score_variants
from megabase.inference.scores import DEFAULT_WINDOW, SKIP_REASONS, choose_window
from tests import toys

MODEL = toys.model()
LETTERS = toys.letters(400)
GENOME = MemoryReference({"chrI": LETTERS, "n": "N" * 40 + "ACGT" + "N" * 40, "short": "ACGTTGCA"})


def effects(sites, genome=GENOME, **options):
    """Score sites; by default window by window, so that bits can be compared."""
    fixed = {"window": 64, "tokens_per_batch": 1}
    return list(score_variants(MODEL, genome, sites, **(fixed | options)))


def effect(site, genome=GENOME, **options):
    ((found,),) = effects([site], genome, **options)
    return found


def values_of(letters):
    (values,) = log_likelihoods(MODEL, [DNA_VOCABULARY.encode(letters).tokens])
    return values.astype(float)


def site(position, n_ref, *alts, contig="chrI"):
    return Site(contig, position, LETTERS[position : position + n_ref], alts)


@pytest.mark.parametrize(("n_ref", "alt"), [(1, "N"), (3, "GTA"), (1, "CCTTA"), (6, "G"), (2, "T")])
def test_a_score_is_the_difference_of_two_windows_of_equal_length(n_ref, alt):
    """Check Eq. log-likelihood-ratio, and what follows the allele, on the forward strand."""
    alt = alt.replace("N", "A" if LETTERS[200] != "A" else "C")
    found = effect(site(200, n_ref, alt), both_strands=False)
    ref = values_of(LETTERS[168:232])
    changed = values_of((LETTERS[168:200] + alt + LETTERS[200 + n_ref :])[:64])
    assert found.log_likelihood_ratio == pytest.approx(changed.sum() - ref.sum(), abs=1e-3)
    assert found.per_base == pytest.approx(found.log_likelihood_ratio / 64)
    n = 32 - max(n_ref, len(alt))
    flank = changed[32 + len(alt) :][:n].sum() - ref[32 + n_ref :][:n].sum()
    assert found.flank == pytest.approx(flank, abs=1e-3)
    assert (found.is_at_edge, found.skip_reason) == (False, "")
    assert abs(found.log_likelihood_ratio) > 1e-2


def test_the_bases_before_an_allele_add_nothing_not_even_noise():
    for position in range(100, 300, 10):
        base = "A" if LETTERS[position] != "A" else "C"
        found = effect(site(position, 1, base), both_strands=False)
        ref = LETTERS[position - 32 : position + 32]
        allele = values_of(ref[:32] + base + ref[33:])[32] - values_of(ref)[32]
        assert found.log_likelihood_ratio - found.flank == pytest.approx(allele, abs=1e-11)


def test_an_invalid_letter_of_the_genome_is_reported():
    odd = MemoryReference({"chrI": LETTERS[:210] + "X" + LETTERS[211:]})
    with pytest.raises(ValueError, match=r"'X' at position 210 .* of chrI in the genome in memory"):
        effect(site(200, 1, "GGG"), odd)


def hidden_mean(letters):
    with torch.no_grad():
        tokens = torch.from_numpy(DNA_VOCABULARY.encode(letters).tokens.astype(int))[None]
        return MODEL(tokens, output_hidden_states=True).hidden_states[-1][0].double().mean(0)


@pytest.mark.parametrize(("n_ref", "alt"), [(1, "GG"), (3, "GTA"), (1, "CCTTA"), (6, "G")])
def test_a_distance_is_that_of_the_mean_hidden_states(n_ref, alt):
    """Check Eq. embedding-distance on both strands."""
    changed = (LETTERS[168:200] + alt + LETTERS[200 + n_ref :])[:64]
    forward = (hidden_mean(changed) - hidden_mean(LETTERS[168:232])).square().sum().sqrt()
    wanted = site(200, n_ref, alt)
    found = effect(wanted, both_strands=False, with_distance=True)
    assert found.distance == pytest.approx(forward.item(), rel=1e-4)
    turned = MemoryReference({"chrI": DNA.reverse_complement(LETTERS)})
    place = Site("chrI", 200 - n_ref, *map(DNA.reverse_complement, [wanted.ref, alt]))
    place = place._replace(alts=(place.alts,))
    backward = effect(place, turned, both_strands=False, with_distance=True)
    both = effect(wanted, with_distance=True)
    assert both.distance == pytest.approx((found.distance + backward.distance) / 2)
    assert min(found.distance, abs(found.distance - backward.distance)) > 1e-4


def test_the_distance_is_computed_only_on_request_and_changes_nothing_else():
    wanted = [site(200, 1, LETTERS[200] + "A", "*", "GATTACA"), site(2, 3, "A")]
    plain, more = effects(wanted), effects(wanted, with_distance=True)
    for one, other in zip(chain(*plain), chain(*more), strict=True):
        assert np.array_equal(one[:4], other[:4], equal_nan=True)
        assert np.isnan(one.distance)
        assert np.isnan(other.distance) == (other.skip_reason != "")


def test_windows_with_the_same_letters_have_no_distance():
    """A T more in a run of them moves nothing where the contig goes on with them."""
    runs = MemoryReference({"chrI": LETTERS[:100] + "T" * 100})
    found = effect(Site("chrI", 120, "T", ("TT",)), runs, both_strands=False, with_distance=True)
    assert (found.distance, found.log_likelihood_ratio) == (0, 0)
    alone = effect(Site("chrI", 105, "T", ("A",)), runs, both_strands=False, with_distance=True)
    beside = effects([Site("chrI", 120, "T", ("TT",)), Site("chrI", 105, "T", ("A",))], runs,
                     both_strands=False, with_distance=True)[1][0]  # fmt: skip
    assert alone.distance == beside.distance > 0


def test_both_strands_count_alike():
    turned = MemoryReference({"chrI": DNA.reverse_complement(LETTERS)})
    forward = site(150, 2, "GATC")
    backward = Site("chrI", 400 - 152, DNA.reverse_complement(forward.ref), ("GATC",))
    one, other = effect(forward), effect(backward, turned)
    assert one[:3] == pytest.approx(other[:3], abs=1e-9)
    alone = [
        effect(forward, both_strands=False),
        effect(backward, turned, both_strands=False),
    ]
    assert one.log_likelihood_ratio == pytest.approx(
        (alone[0].log_likelihood_ratio + alone[1].log_likelihood_ratio) / 2
    )
    assert alone[0].log_likelihood_ratio != pytest.approx(alone[1].log_likelihood_ratio, abs=1e-3)


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(0, 395), st.integers(1, 5), st.text("ACGT", min_size=1, max_size=9)),
        min_size=2,
        max_size=5,
    )
)
def test_no_neighbour_changes_a_bit_of_a_score(cases):
    sites = [site(position, n_ref, alt) for position, n_ref, alt in cases]
    together = effects(sites)
    backwards = effects(sites[::-1])[::-1]
    for each, one, other in zip(sites, together, backwards, strict=True):
        ((alone,),) = effects([each])
        assert np.array_equal(one[0][:3], alone[:3], equal_nan=True)
        assert np.array_equal(other[0][:3], alone[:3], equal_nan=True)


def test_effects_of_windows_in_batches_differ_by_rounding_only():
    sites = [site(position, 1, "GATTACA", "A", "*") for position in range(20, 380, 31)]
    alone = effects(sites, with_distance=True)
    for n in (200, 1000, 1 << 15):
        batched = effects(sites, tokens_per_batch=n, with_distance=True)
        for one, other in zip(chain(*alone), chain(*batched), strict=True):
            numbers = [(*e[:3], e.distance) for e in (one, other)]
            np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-5)
            assert (one.is_at_edge, one.skip_reason) == (other.is_at_edge, other.skip_reason)


def test_a_reference_window_is_read_once_for_all_alleles_and_records(monkeypatch):
    n_windows = 0
    original = MODEL.logits_in_chunks

    def counted(tokens, mask=None, *, features=None):
        nonlocal n_windows
        n_windows += len(tokens)
        return original(tokens, mask, features=features)

    monkeypatch.setattr(MODEL, "logits_in_chunks", counted)
    alts = [base for base in "ACGT" if base != LETTERS[200]]
    effects([site(200, 1, *alts), site(200, 1, "GGGG")], both_strands=False)
    assert n_windows == 1 + 3 + 1


@pytest.mark.parametrize("length", [1, 3, 10, 30])
def test_the_length_of_an_insertion_alone_moves_no_score(length):
    """Compare with windows of unequal length, which would lose about 1.4 nats a base."""
    rng = np.random.default_rng(length)
    letters = toys.letters(20_000, seed=1)
    sites = [
        Site("chrI", position, letters[position], (letters[position] + toys.letters(length, rng),))
        for position in rng.integers(100, 19_900, size=200).tolist()
    ]
    found = effects(sites, MemoryReference({"chrI": letters}))
    ratios = [each.log_likelihood_ratio for (each,) in found]
    assert abs(np.mean(ratios)) / length < 0.3
    assert np.std(ratios) > 0


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (site(200, 1, "<DEL>"), "symbolic"),
        (site(200, 1, f"{LETTERS[200]}[chrI:300["), "symbolic"),
        (site(200, 1, "*"), "star"),
        (site(200, 1, "N"), "ambiguous"),
        (site(200, 1, LETTERS[200].lower()), "same"),
        (Site("chrI", 200, DNA.reverse_complement(LETTERS[200]), (LETTERS[200],)), "ref_mismatch"),
        (site(200, 1, LETTERS[200] + "A" * 32), "too_long"),
        (site(200, 33, "A"), "too_long"),
        (Site("n", 42, "G", ("T",)), "mostly_n"),
        (Site("MT", 200, "G", ("T",)), "no_contig"),
        (Site("chrI", -1, "A", ("T",)), "outside"),
        (Site("chrI", 400, "A", ("T",)), "outside"),
        (Site("chrI", 398, LETTERS[398:] + "A", ("T",)), "outside"),
        (Site("chrI", 10**20, "A", ("T",)), "outside"),
        (Site("chrI", -1, "N", ("]chrI:5]",)), "symbolic"),
        (Site("MT", 200, "G", ("*",)), "star"),
        (Site("chrI", 200, "", ("T",)), "outside"),
        (Site("chrI", 200, ".", ("T",)), "ambiguous"),
        (site(200, 1, ""), "symbolic"),
        (site(200, 1, "<NON_REF>"), "symbolic"),
    ],
)
def test_what_cannot_be_scored_has_a_reason(wanted, reason):
    found = effect(wanted)
    assert found.skip_reason == reason
    assert np.isnan(found[:3]).all()
    assert reason in SKIP_REASONS


@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_an_ambiguity_code_of_the_genome_is_its_first_base_in_ref(case):
    """VCF 4.3, section 1.6.1: REF has A where the genome has R; N stays N."""
    for code, first in zip("RYSWKMBDHV", "ACCAGACAAA", strict=True):
        genome = MemoryReference({"chrI": LETTERS[:200] + case(code) + LETTERS[201:]})
        plain = MemoryReference({"chrI": LETTERS[:200] + first + LETTERS[201:]})
        alt = "T"
        found = effect(Site("chrI", 200, case(first) + LETTERS[201], (alt,)), genome)
        assert found.skip_reason == ""
        assert found == effect(Site("chrI", 200, first + LETTERS[201], (alt,)), plain)
        other = effect(Site("chrI", 200, "T", ("G",)), genome)
        assert other.skip_reason == "ref_mismatch"
    genome = MemoryReference({"chrI": LETTERS[:200] + "N" + LETTERS[201:]})
    assert effect(Site("chrI", 200, "A", ("T",)), genome).skip_reason == "ref_mismatch"


def test_a_skipped_allele_leaves_the_others_their_scores():
    alts = [base for base in "ACGT" if base != LETTERS[200]][:2]
    ((one, skipped, other),) = effects([site(200, 1, alts[0], "*", alts[1])])
    assert skipped.skip_reason == "star"
    assert one == effect(site(200, 1, alts[0]))
    assert other == effect(site(200, 1, alts[1]))


@pytest.mark.parametrize("position", [0, 31, 32, 368, 369, 399])
def test_an_end_of_the_contig_moves_the_window_and_sets_a_flag(position):
    base = "A" if LETTERS[position] != "A" else "C"
    found = effect(site(position, 1, base), both_strands=False)
    assert found.is_at_edge == (position < 32 or position > 400 - 32)
    start = min(max(position - 32, 0), 400 - 64)
    changed = LETTERS[:position] + base + LETTERS[position + 1 :]
    windows = [values_of(letters[start : start + 64]).sum() for letters in (changed, LETTERS)]
    assert found.log_likelihood_ratio == pytest.approx(windows[0] - windows[1], abs=1e-3)


@pytest.mark.parametrize(("n_ref", "alt"), [(1, "GTT"), (4, "A")])
def test_where_the_end_of_the_contig_moves_the_windows_apart_each_is_read_whole(n_ref, alt):
    """Check Eq. log-likelihood-ratio where the windows share no bases before the allele."""
    found = effect(site(390, n_ref, alt), both_strands=False)
    changed = (LETTERS[:390] + alt + LETTERS[390 + n_ref :])[-64:]
    difference = values_of(changed).sum() - values_of(LETTERS[-64:]).sum()
    assert found.log_likelihood_ratio == pytest.approx(difference, abs=1e-3)


def test_a_contig_shorter_than_the_window_is_read_as_it_is():
    found = effect(Site("short", 3, "T", ("A",)), both_strands=False)
    difference = values_of("ACGATGCA").sum() - values_of("ACGTTGCA").sum()
    assert found.log_likelihood_ratio == pytest.approx(difference, abs=1e-3)
    assert found.is_at_edge


def test_an_allele_next_to_n_in_one_window_only_is_at_an_edge():
    """An allele beside N moves the sum by about 1.4 nats for each, whatever it is."""
    gap = MemoryReference({"chrI": LETTERS[:220] + "N" * 60 + LETTERS[280:]})
    deletion = site(195, 11, LETTERS[195])
    intact, beside = effect(deletion, both_strands=False), effect(deletion, gap, both_strands=False)
    assert beside.log_likelihood_ratio - intact.log_likelihood_ratio > 7
    assert (intact.is_at_edge, beside.is_at_edge) == (False, True)
    substitution = site(195, 1, "A" if LETTERS[195] != "A" else "C")
    found = effect(substitution, gap, both_strands=False)
    assert not found.is_at_edge
    n_scored = 64 - (227 - 220)
    assert found.per_base == pytest.approx(found.log_likelihood_ratio / n_scored)


def test_n_that_a_deletion_draws_in_count_as_those_that_were_there():
    letters = LETTERS[:180] + "N" * 10 + LETTERS[190:221] + "N" * 179
    found = effect(
        Site("chrI", 200, letters[200:221], (letters[200],)), MemoryReference({"chrI": letters})
    )
    assert found.skip_reason == "mostly_n"


@pytest.mark.parametrize(("position", "forward"), [(31, True), (368, False)])
def test_an_allele_at_an_edge_on_either_strand_is_at_an_edge(position, forward):
    wanted = site(position, 1, "A" if LETTERS[position] != "A" else "C")
    assert effect(wanted).is_at_edge
    assert effect(wanted, both_strands=False).is_at_edge == forward


def test_lower_case_letters_count_as_upper_case():
    soft = MemoryReference({"chrI": LETTERS.lower()})
    upper = site(200, 1, LETTERS[200] + "ACC")
    lower = Site("chrI", 200, upper.ref.lower(), (upper.alts[0].lower(),))
    assert effect(lower, soft) == effect(upper)


@pytest.mark.parametrize("window", [1, 65])
def test_a_window_that_the_model_does_not_read_is_an_error(window):
    with pytest.raises(ValueError, match=f"context of 64; got {window}"):
        effects([site(200, 1, "A")], window=window)


def test_a_window_is_the_requested_one_or_at_most_1024_bases():
    assert [choose_window(None, 64), choose_window(None, 9999), choose_window(8, 64)] == [
        64, DEFAULT_WINDOW, 8,
    ]  # fmt: skip
    for window in (1, 65):
        with pytest.raises(ValueError, match=f"context of 64; got {window}"):
            choose_window(window, 64)
