"""Every substitution has the score of its variant; the gradient is the derivative it claims."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference
from megabase.genome.variant import Site
from megabase.genome.vocabulary import DNA
from megabase.inference.score_variants import score_variants
from megabase.inference.substitutions import saturation_mutagenesis
from megabase.inference.windows import gradient_windows
from tests import toys

MODEL = toys.model()
LETTERS = toys.letters(60) + "NnR" + toys.letters(37, seed=1)
GENOME = MemoryReference({"chrI": LETTERS, "short": "ACGTTGCAGT", "n": "N" * 60 + "A" + "N" * 60})


def mutated(start, end, contig="chrI", **options):
    region = Interval(contig, start, end)
    return saturation_mutagenesis(
        MODEL, GENOME, region, **({"window": 32, "tokens_per_batch": 1} | options)
    )


@pytest.mark.parametrize("both_strands", [True, False])
@pytest.mark.parametrize("window", [32, 63])
def test_each_substitution_has_the_very_score_of_its_variant(window, both_strands):
    ratios = mutated(58, 63, window=window, both_strands=both_strands)
    for row, position in zip(ratios, range(58, 63), strict=True):
        ref = LETTERS[position]
        for base, ratio in zip("ACGT", row, strict=True):
            if ref not in "ACGT":
                assert np.isnan(ratio)
            elif base == ref:
                assert ratio == 0
            else:
                site = Site("chrI", position, ref, (base,))
                options = {"window": window, "both_strands": both_strands, "tokens_per_batch": 1}
                ((found,),) = score_variants(MODEL, GENOME, [site], **options)
                assert ratio == found.log_likelihood_ratio != 0


@pytest.mark.parametrize("mode", ["exact", "gradient"])
@pytest.mark.parametrize(("start", "end"), [(40, 41), (47, 49), (66, 70)])
def test_where_a_region_starts_and_ends_changes_no_bit(whole, mode, start, end):
    found = mutated(start, end, mode=mode)
    np.testing.assert_array_equal(found, whole[mode][start - 40 : end - 40])


@pytest.fixture(scope="module")
def whole():
    return {mode: mutated(40, 70, mode=mode) for mode in ("exact", "gradient")}


def definition(model, rows):
    """Compute Eq. mutagenesis-gradient's log-likelihood from one-hot rows of A, C, G, T."""
    embedding = model.backbone.embedding.weight
    logits = model(inputs_embeds=(rows @ embedding[7:11])[None]).logits[0, :-1, 7:11]
    log_p = logits - torch.logsumexp(logits, dim=-1, keepdim=True)
    return (rows[1:] * log_p).sum() - rows[0].sum() * np.log(4)


def test_the_gradient_is_the_derivative_of_the_log_likelihood():
    """Check Eq. mutagenesis-gradient by central differences in float64."""
    model = toys.model().double()
    letters = LETTERS[:24]
    genome = MemoryReference({"x": letters})
    found = saturation_mutagenesis(
        model, genome, Interval("x", 0, 24), window=24, mode="gradient", both_strands=False
    )
    rows = torch.eye(4, dtype=torch.float64)[["ACGT".index(letter) for letter in letters]]
    for position in (0, 1, 11, 22, 23):
        slopes = []
        for base in range(4):
            step = torch.zeros_like(rows)
            step[position, base] = 1e-5
            with torch.no_grad():
                rise = definition(model, rows + step) - definition(model, rows - step)
            slopes.append(rise.item() / 2e-5)
        expected = np.array(slopes) - slopes["ACGT".index(letters[position])]
        np.testing.assert_allclose(found[position], expected, rtol=1e-4, atol=2e-5)


def test_the_change_of_a_base_s_own_probability_is_exact():
    """The last base of a contig changes nothing else, and the first order is the whole."""
    exact, estimate = (
        mutated(0, 10, "short", mode=mode, both_strands=False) for mode in ("exact", "gradient")
    )
    np.testing.assert_allclose(estimate[-1], exact[-1], rtol=1e-5, atol=1e-5)
    assert np.abs(estimate - exact)[:-1].max() > 1e-2


def test_the_other_strand_is_the_same_genome_turned():
    turned = MemoryReference({"short": DNA.reverse_complement("ACGTTGCAGT")})
    one = mutated(0, 10, "short", mode="gradient")
    other = saturation_mutagenesis(
        MODEL, turned, Interval("short", 0, 10), window=32, mode="gradient"
    )
    np.testing.assert_allclose(one, other[::-1, ::-1], rtol=1e-6, atol=1e-9)


def test_the_estimate_follows_the_exact_score(whole):
    exact, estimate = whole["exact"], whole["gradient"]
    is_other = np.isfinite(exact) & (exact != 0)
    assert np.corrcoef(exact[is_other], estimate[is_other])[0, 1] > 0.6


@given(st.integers(1, 300), st.integers(2, 64), st.data())
def test_gradient_windows_hold_what_they_answer_for_and_a_quarter_around_it(n, window, data):
    start = data.draw(st.integers(0, n - 1))
    region = Interval("chrI", start, data.draw(st.integers(start + 1, n)))
    found = list(gradient_windows(region, contig_length=n, window=window))
    ends = [*(each.first for each in found[1:]), region.end]
    assert found[0].first == region.start
    for each, end in zip(found, ends, strict=True):
        assert 0 <= each.start <= each.first < end <= each.end <= n
        assert each.end - each.start == min(window, n)
        quarter = (window - window // 2) // 2
        assert each.start == 0 or each.end == n or each.first - each.start >= quarter
        assert each.start == 0 or each.end == n or each.end - end >= quarter


def test_the_weights_want_gradients_again_and_have_none():
    model = toys.model()
    model.backbone.norm.weight.requires_grad_(False)
    region = Interval("short", 0, 10)
    saturation_mutagenesis(model, GENOME, region, window=8, mode="gradient")
    wanting = {name for name, each in model.named_parameters() if each.requires_grad}
    assert wanting == {name for name, _ in model.named_parameters()} - {"backbone.norm.weight"}
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_window_of_mostly_n_has_no_score():
    for mode in ("exact", "gradient"):
        ratios = mutated(59, 62, "n", mode=mode)
        assert np.isnan(ratios[[0, 2]]).all()
        np.testing.assert_array_equal(ratios[1], [0, np.nan, np.nan, np.nan])


def test_the_strand_of_a_region_is_of_no_account():
    forward, reverse = (
        saturation_mutagenesis(
            MODEL, GENOME, Interval("chrI", 9, 12, strand), window=16, tokens_per_batch=1
        )
        for strand in "+-"
    )
    np.testing.assert_array_equal(forward, reverse)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "the mode must be one of exact, gradient; got 'both'"),
        ({"window": 65}, "from 2 bases to the model's context of 64; got 65"),
        ({"window": 1}, "a window must have from 2 bases"),
    ],
)
def test_invalid_input_is_an_error(options, message):
    with pytest.raises(InputError, match=message):
        mutated(0, 5, **options)


def test_a_region_beyond_its_contig_is_an_error():
    with pytest.raises(InputError, match=r"ends beyond its contig, which has 100 bp"):
        mutated(90, 101)


def test_a_model_that_has_diverged_is_an_error():
    broken = toys.model()
    broken.backbone.norm.weight.data[0] = torch.nan
    with pytest.raises(WorkError, match="gradient is NaN"):
        saturation_mutagenesis(broken, GENOME, Interval("short", 0, 3), window=8, mode="gradient")


def test_an_invalid_letter_is_an_error_with_its_position():
    odd = MemoryReference({"chrI": LETTERS[:20] + "X" + LETTERS[21:]})
    with pytest.raises(ValueError, match=r"'X' at position 20 .* of chrI"):
        saturation_mutagenesis(MODEL, odd, Interval("chrI", 10, 30), window=8)
