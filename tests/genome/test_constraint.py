"""A base is allowed exactly where a search of all sequences finds one that goes on with it."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.genome import constraint as module
from megabase.genome.constraint import ConstrainedBatch, Constraint, GcRange, Motifs
from megabase.genome.vocabulary import DNA_VOCABULARY
from tests.genome.test_motif import search

GC = st.sampled_from([None, "0-1", "0.4-0.6", "0.25-0.5", "0.5-0.5", "0.7-1", "0-0.2"])
MOTIFS = st.lists(st.text("ACGTNRYSW", min_size=2, max_size=4), max_size=3)
LENGTH = 5


def encode(letters):
    return DNA_VOCABULARY.encode(letters).tokens


def good(motifs, gc, template, prompt):
    """List all sequences that a constraint admits, by looking at each."""
    least, most = (0, LENGTH) if gc is None else GcRange.from_text(gc).counts(LENGTH)
    for letters in map("".join, product("ACGT", repeat=LENGTH)):
        n_gc = sum(letters.count(base) for base in "CG")
        if (
            least <= n_gc <= most
            and all(t in (letter, "N") for t, letter in zip(template, letters, strict=True))
            and not any(end >= len(prompt) for end in search(motifs, prompt + letters))
        ):
            yield letters


def make(motifs, gc, template):
    range_ = None if gc is None else GcRange.from_text(gc)
    return Constraint(LENGTH, Motifs(motifs), range_, encode(template))


def check(motifs, gc, template, prompt, *, is_exact):
    """Compare what may be drawn, step by step, with all that is good."""
    expected = list(good(motifs, gc, template, prompt))
    try:
        walk = ConstrainedBatch(make(motifs, gc, template), [encode(prompt)])
    except ValueError:
        assert not (is_exact and expected)
        return
    pending = [("", walk)]
    while pending:
        before, walk = pending.pop()
        if len(before) == LENGTH:
            assert before in expected
            continue
        allowed = {base for base, is_it in zip("ACGT", walk.allowed()[0], strict=True) if is_it}
        possible = {each[len(before)] for each in expected if each.startswith(before)}
        assert allowed
        assert allowed == possible if is_exact else allowed <= possible
        for base in sorted(allowed)[:2]:
            onward = ConstrainedBatch(make(motifs, gc, template), [encode(prompt)])
            for each in before + base:
                onward.take(["ACGT".index(each)])
            pending.append((before + base, onward))


@settings(deadline=None, max_examples=60)
@given(
    MOTIFS, GC, st.text("NNNNACGT", min_size=LENGTH, max_size=LENGTH), st.text("ACGTN", max_size=5)
)
def test_what_is_allowed_is_what_leaves_a_way(motifs, gc, template, prompt):
    check(motifs, gc, template, prompt, is_exact=True)


@settings(deadline=None, max_examples=60)
@given(
    MOTIFS, GC, st.text("NNNNACGT", min_size=LENGTH, max_size=LENGTH), st.text("ACGTN", max_size=5)
)
def test_the_rule_for_long_sequences_never_leads_astray(motifs, gc, template, prompt):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_EXACT", 0)
        check(motifs, gc, template, prompt, is_exact=gc is None or not motifs)


def test_long_and_short_sequences_agree_where_a_motif_leaves_no_gap(monkeypatch):
    motifs, gc = Motifs(["GAATTC", "GGTCTC"]), GcRange.from_text("0.48-0.52")
    exact = Constraint(300, motifs, gc)
    monkeypatch.setattr(module, "_MOST_EXACT", 0)
    by_runs = Constraint(300, motifs, gc)
    assert (exact.is_exact, by_runs.is_exact) == (True, False)
    walks = [ConstrainedBatch(each, [encode("ACGTGAA")]) for each in (exact, by_runs)]
    rng = np.random.default_rng(0)
    for _ in range(300):
        one, other = (walk.allowed() for walk in walks)
        assert (one == other).all()
        base = int(rng.choice(np.flatnonzero(one[0])))
        for walk in walks:
            walk.take([base])


def test_a_motif_may_not_be_ended_but_one_in_the_prompt_stays():
    walk = ConstrainedBatch(
        make(["GAATTC"], None, "NNNNN"), [encode(p) for p in ("GAATT", "GAATTC", "GAANTT")]
    )
    assert walk.allowed().tolist() == [[True, False, True, True], [True] * 4, [True] * 4]


@pytest.mark.parametrize(
    ("motifs", "gc", "template", "prompt", "message"),
    [
        (["GAATTC"], None, "NNNN", "", "template has 4 letters, and 5 bases"),
        (["CTT"], None, "NAAGN", "", "a forbidden motif that ends at position 3"),
        ([], "0.5-0.5", "NNNNN", "", "no number of G and C in 5 bases gives a GC of 0.5-0.5"),
        (
            [],
            "0-0.2",
            "GCNNN",
            "",
            "after an empty prompt, no sequence of 5 bases meets the constraint: GC of 0-0.2 and "
            "the template; relax",
        ),
        (["N"], None, "NNNNN", "", "no sequence of 5 bases meets the constraint: no N on either"),
        (
            ["GAATTC"],
            None,
            "CNNNN",
            "GAATT",
            "a prompt that ends in GAATT, no sequence of 5 bases meets the constraint: no GAATTC",
        ),
        (["AC"], None, "CNNNN", "G" * 20 + "A", "a prompt that ends in G{11}A, no"),
    ],
)
def test_unsatisfiable_constraints_are_refused(motifs, gc, template, prompt, message):
    with pytest.raises(ValueError, match=message):
        ConstrainedBatch(make(motifs, gc, template), [encode(prompt)])


@pytest.mark.parametrize("most_exact", [module._MOST_EXACT, 0], ids=["sets", "runs"])
def test_no_count_within_a_gap_is_promised(monkeypatch, most_exact):
    """Two bases are both of A and T or both of C and G: their counts are 0 and 2."""
    monkeypatch.setattr(module, "_MOST_EXACT", most_exact)
    motifs = Motifs(["SW", "WS"])
    with pytest.raises(ValueError, match=r"of 2 bases meets .*: no SW WS on either strand and GC"):
        ConstrainedBatch(Constraint(2, motifs, GcRange.from_text("0.5-0.5")), [encode("")])
    walk = ConstrainedBatch(Constraint(2, motifs, GcRange.from_text("0-0.5")), [encode("")])
    assert walk.allowed().tolist() == [[True, False, False, True]]
