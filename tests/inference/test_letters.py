"""What a script asks in letters is what the parts answer in tokens."""

from itertools import pairwise

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference
from megabase.genome.variant import Site
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference import letters as module
from megabase.inference.choices import Pooling
from megabase.inference.generation import generate as continue_tokens
from megabase.inference.letters import (
    embed,
    generate,
    load,
    saturation_mutagenesis,
    score_sequences,
    score_variants,
)
from megabase.inference.plan import GenerationPlan
from megabase.model.load import save
from tests import toys

GENOME = {"chrI": toys.letters(200)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save(toys.model(), folder)
    return load(str(folder), device="cpu", batch_tokens=1)  # so that bits can be compared


def test_sequences_are_scored_as_their_tokens(model):
    long = toys.letters(150)
    short, masked, cut = score_sequences(model, ["ACGT", "ACNgt", long], stride=16)
    expected = list(
        model.log_likelihoods(
            [DNA_VOCABULARY.encode(each).tokens for each in ("ACGT", "ACNGT", long)], stride=16
        )
    )
    for score, values in zip((short, masked, cut), expected, strict=True):
        np.testing.assert_array_equal(score.per_base, values)
        assert score.log_likelihood == pytest.approx(np.nansum(values), rel=1e-6)
        assert score.bits_per_base * score.n_scored * np.log(2) == pytest.approx(
            -score.log_likelihood
        )
    assert (short.n_scored, masked.n_scored) == (4, 4)
    (mean,) = score_sequences(model, ["ACGTT"], strand="average")
    (forward,), (reverse,) = score_sequences(model, ["ACGTT"]), score_sequences(model, ["AACGT"])
    both = (forward.log_likelihood + reverse.log_likelihood) / 2
    assert mean.log_likelihood == pytest.approx(both, rel=1e-5)


def test_variants_are_scored_as_their_sites(model):
    ref = GENOME["chrI"][99]
    alt = "A" if ref != "A" else "C"
    good, bad = score_variants(
        model, GENOME, [("chrI", 99, ref, alt), ("chrI", 99, alt, ref)], window=32
    )
    reference, site = MemoryReference(GENOME), Site("chrI", 99, ref, (alt,))
    ((expected,),) = model.score_variants(reference, [site], window=32)
    assert good == expected
    assert (bad.skip_reason, np.isnan(bad.log_likelihood_ratio)) == ("ref_mismatch", True)
    (whole,) = score_variants(model, reference, [("chrI", 99, ref, alt)], strand="forward")
    ((expected,),) = model.score_variants(reference, [site], window=64, both_strands=False)
    assert whole == expected


def test_sequences_are_written_the_same_however_many_go_side_by_side(model, monkeypatch):
    made = generate(model, ["ACGT", "TTG", "A"], 12, seed=3, top_k=3)
    prompts = [DNA_VOCABULARY.encode(each).tokens for each in ("ACGT", "TTG", "A")]
    direct = continue_tokens(model.model, prompts, 12, seed=3, sampling=module.Sampling(top_k=3))
    assert [each.letters for each in made] == [DNA_VOCABULARY.decode(d.tokens) for d in direct]
    one_by_one = GenerationPlan(0.1, 1)
    monkeypatch.setattr(model, "plan_generation", lambda **_: one_by_one)
    again = generate(model, ["ACGT", "TTG", "A"], 12, seed=3, top_k=3)
    assert [each.letters for each in again] == [each.letters for each in made]
    (fixed,) = generate(model, [""], 4, template="NCGN")
    assert fixed.letters[1:3] == "CG"
    (alone,) = score_sequences(model, [fixed.letters])
    assert alone.log_likelihood == pytest.approx(fixed.log_likelihood, rel=1e-4)


def test_embeddings_are_those_of_the_tokens(model):
    sequences = ["ACGTT", "acnta"]
    tokens = [DNA_VOCABULARY.encode(each).tokens for each in sequences]
    for found, expected in zip(embed(model, sequences), model.embed(tokens), strict=True):
        np.testing.assert_array_equal(found, expected)
    options = {"layer": 1, "strand": "both"}
    (rows,) = embed(model, sequences[:1], pooling="none", **options)
    (expected,) = model.embed(tokens[:1], pooling=Pooling.from_text("none"), **options)
    np.testing.assert_array_equal(rows, expected)


def test_substitutions_are_scored_as_those_of_the_genome(model):
    region = Interval("chrI", 80, 84)
    reference = MemoryReference(GENOME)
    for mode in ("exact", "gradient"):
        found = saturation_mutagenesis(model, GENOME, region, window=32, mode=mode)
        expected = model.saturation_mutagenesis(reference, region, window=32, mode=mode)
        np.testing.assert_array_equal(found, expected)
    alts = [base for base in "ACGT" if base != GENOME["chrI"][80]]
    effects = score_variants(model, GENOME, [("chrI", 80, GENOME["chrI"][80], b) for b in alts])
    whole = saturation_mutagenesis(model, GENOME, region)
    for alt, effect in zip(alts, effects, strict=True):
        assert whole[0]["ACGT".index(alt)] == effect.log_likelihood_ratio


def test_sequences_meet_their_constraint(model):
    made = generate(
        model, ["AC"] * 5, 40, forbid=["AA", "CG"], gc="0.4-0.5", template="T" + "N" * 39
    )
    for each in made:
        assert not {"AA", "TT", "CG"} & {f"{a}{b}" for a, b in pairwise("AC" + each.letters)}
        assert 16 <= sum(map(each.letters.count, "GC")) <= 20
        assert each.letters[0] == "T"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: score_sequences(m, "ACGT"), r"expected a list of sequences, .* write \[text\]"),
        (lambda m: score_sequences(m, ["A", ""]), "sequence 1 .* has no letters"),
        (lambda m: score_sequences(m, ["A" * 65]), "has 65 bp, .* at most 64 at once; give a str"),
        (lambda m: score_sequences(m, ["AXG"]), "'X' at position 1 .* of sequence 0"),
        (lambda m: score_sequences(m, ["A"], stride=65), "from 1 to the context of 64"),
        (lambda m: embed(m, ["A"], pooling="sum"), "the pooling must be none"),
        (lambda m: generate(m, ["AA"], 1, forbid=["AN"]), "AN"),
        (lambda m: generate(m, "ACGT", 5), "expected a list of prompts"),
        (lambda m: generate(m, [""], 5, forbid="GC"), r"a list of motifs, .* write \['GC'\]"),
        (lambda m: generate(m, ["A" * 60], 5), "more than the 64 bp that the model reads"),
        (lambda m: score_variants(m, GENOME, [], strand="both"), "the strand must be one of"),
    ],
)
def test_invalid_values_are_an_error_that_names_them(model, ask, message):
    with pytest.raises(InputError, match=message):
        ask(model)


def test_a_letter_that_a_draw_would_widen_is_an_error(model):
    for prompts, template, name in ((["ACGT", "ACR"], None, "prompt 1"), ([""], "RN", "template")):
        with pytest.raises(InputError, match=f"{name} .*has 1 letters other than A C G T N"):
            generate(model, prompts, 2, template=template)
