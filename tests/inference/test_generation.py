"""What is generated follows the model, the seed and the request, and nothing else."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.errors import InputError
from megabase.genome.constraint import Constraint, GcRange, Motifs
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.generation import draw_probabilities, generate
from megabase.inference.likelihood import log_likelihoods
from megabase.inference.sampling import Sampling
from tests import toys
from tests.genome.test_motif import search

MODEL = toys.model(max_seq_len=202)
WITH_MEMORY = toys.model(max_seq_len=202, **toys.MEMORY)
NOTHING = np.zeros(0, dtype=np.uint8)


def encode(text):
    return DNA_VOCABULARY.encode(text).tokens


def letters_of(generated):
    return [DNA_VOCABULARY.decode(each.tokens) for each in generated]


def total(prompt, generated, model=MODEL):
    (values,) = log_likelihoods(model, [np.concatenate([prompt, generated.tokens])])
    return values[len(prompt) :].sum()


@pytest.mark.parametrize("prompt", ["", "A", "ACGTNNACGGTACCA"])
@pytest.mark.parametrize("length", [1, 2, 150])
def test_the_log_likelihood_is_that_of_the_bases_added(prompt, length):
    (made,) = generate(MODEL, [encode(prompt)], length, sampling=Sampling(temperature=2.0))
    assert len(made.tokens) == length
    assert set(made.tokens) <= set(DNA_VOCABULARY.base_ids)
    assert made.log_likelihood == pytest.approx(total(encode(prompt), made), rel=1e-4)


@pytest.mark.parametrize("n_prompt", [0, 1, 130])
def test_with_a_memory_too(n_prompt):
    prompts = [row.numpy().astype(np.uint8)[:n_prompt] for row in toys.repeated_tokens(2, 130)]
    prompts.append(prompts[0][: n_prompt // 2])
    for prompt, made in zip(prompts, generate(WITH_MEMORY, prompts, 70), strict=True):
        truth = total(prompt, made, WITH_MEMORY)
        assert made.log_likelihood == pytest.approx(truth, rel=1e-4)


def test_the_likeliest_base_is_the_one_a_whole_pass_finds():
    (made,) = generate(MODEL, [encode("ACG")], 60, sampling=Sampling(top_k=1))
    tokens = encode("ACG")
    for token in made.tokens:
        with torch.no_grad():
            logits = MODEL(torch.from_numpy(tokens.astype(int))[None]).logits[0, -1]
        assert token == 7 + logits[7:11].argmax()
        tokens = np.append(tokens, token)


def test_a_seed_gives_one_answer_and_another_seed_another():
    first, again, other = (
        letters_of(generate(MODEL, [NOTHING], 100, seed=seed)) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_no_two_seeds_or_numbers_share_their_random_numbers():
    asked = [(0, (1,)), (1, (0,)), (0, (0, 1)), (0, (2, 0)), (2, (0, 0)), (0, (1, 1))]
    made = [
        generate(MODEL, [encode("ACGT")], 30, seed=seed, numbers=[number])[0].tokens.tobytes()
        for seed, number in asked
    ]
    assert len(set(made)) == len(asked)


def test_other_sequences_of_the_batch_do_not_change_a_sequence():
    prompts = [encode("ACGTA"), encode("GG"), encode("TTTTTTTACGTTTTTTT")]
    together = letters_of(generate(MODEL, prompts, 100, numbers=[(5,), (6,), (7,)]))
    alone = [
        letters_of(generate(MODEL, [prompt], 100, numbers=[(number,)]))[0]
        for number, prompt in zip([5, 6, 7], prompts, strict=True)
    ]
    assert together == alone
    assert len(set(together)) == 3


def test_the_first_base_is_drawn_evenly_and_the_second_as_the_model_says():
    made = generate(MODEL, [NOTHING] * 2000, 2)
    firsts = np.array([each.tokens[0] for each in made])
    assert all(abs((firsts == base).mean() - 0.25) < 0.05 for base in DNA_VOCABULARY.base_ids)
    after_a = np.array([each.tokens[1] for each in made if each.tokens[0] == 7])
    with torch.no_grad():
        p = MODEL(torch.tensor([[7]])).logits[0, 0, 7:11].softmax(-1)
    for base, expected in enumerate(p.tolist(), start=7):
        assert (after_a == base).mean() == pytest.approx(expected, abs=0.1)


def test_bases_of_the_template_are_kept_and_count():
    template = "N" * 10 + "TATAAT" + "N" * 34
    free, made = (
        generate(MODEL, [encode("ACG")], 50, template=fixed)[0]
        for fixed in (None, encode(template))
    )
    assert DNA_VOCABULARY.decode(made.tokens)[10:16] == "TATAAT"
    assert (made.tokens[:10] == free.tokens[:10]).all()
    assert made.log_likelihood == pytest.approx(total(encode("ACG"), made), rel=1e-4)


def test_progress_is_reported():
    advanced = []
    generate(MODEL, [encode("AC"), encode("G")], 12, advance=advanced.append)
    assert sum(advanced) == 24


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.5, 0.125, 0.25, 0.125]),
        (Sampling(temperature=0.5), [8 / 11, 1 / 22, 2 / 11, 1 / 22]),
        (Sampling(temperature=5e-324), [1, 0, 0, 0]),
        (Sampling(top_k=2), [2 / 3, 0, 1 / 3, 0]),
        (Sampling(top_p=0.5), [1, 0, 0, 0]),
        (Sampling(top_p=0.6), [2 / 3, 0, 1 / 3, 0]),
        (Sampling(top_p=0.8), [4 / 7, 1 / 7, 2 / 7, 0]),
        (Sampling(top_k=2, top_p=0.6), [1, 0, 0, 0]),
    ],
)
def test_the_probabilities_of_the_draw(sampling, expected):
    log_p = torch.tensor([[0.5, 0.125, 0.25, 0.125]], dtype=torch.float64).log()
    exact = torch.tensor([expected], dtype=torch.float64)
    torch.testing.assert_close(draw_probabilities(sampling, log_p), exact)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0"),
        ({"temperature": math.nan}, "temperature must be above 0, got nan"),
        ({"top_k": 0}, "top-k must be from 1 to 4 bases, got 0"),
        ({"top_p": 0.0}, "top-p must be above 0 and at most 1, got 0"),
        ({"top_p": 1.5}, "top-p must be above 0 and at most 1, got 1.5"),
    ],
)
def test_an_invalid_draw_is_an_error(keys, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**keys)


def test_what_cannot_be_generated():
    with pytest.raises(ValueError, match="at least 1 base, got 0"):
        generate(MODEL, [NOTHING], 0)
    with pytest.raises(ValueError, match=r"prompt of 3 bp and a length of 198 bp .* the 200 bp"):
        generate(MODEL, [encode("ACG")], 198)
    with pytest.raises(ValueError, match="template has 3 letters, and 4 bases"):
        generate(MODEL, [NOTHING], 4, template=encode("ACG"))


def test_some_prompts_may_be_empty():
    prompts = [encode("ACG"), NOTHING, encode("T"), NOTHING]
    together = generate(MODEL, prompts, 12, seed=3)
    for row, prompt in enumerate(prompts):
        (alone,) = generate(MODEL, [prompt], 12, seed=3, numbers=[(row,)])
        assert together[row].tokens.tolist() == alone.tokens.tolist()
        assert together[row].log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-3)


def test_a_model_that_has_diverged_is_an_error():
    broken = toys.model()
    broken.backbone.norm.weight.data[0] = torch.nan
    with pytest.raises(RuntimeError, match="the model's output is NaN"):
        generate(broken, [encode("AC")], 5)


PROMPTS = [encode(prompt) for prompt in ("ACGTA", "GAATT", "TTTGGATCNNACGTTTTTTT")]


def constraint(length, motifs=(), gc=None, template=None):
    gc_range = None if gc is None else GcRange.from_text(gc)
    fixed = None if template is None else encode(template)
    return Constraint(length, Motifs(motifs), gc_range, fixed)


@settings(deadline=None, max_examples=12)
@given(
    st.lists(st.text("ACGTRYN", min_size=3, max_size=6), min_size=1, max_size=3),
    st.sampled_from(["0.2-0.3", "0.5-0.5", "0.7-0.8", "0-1"]),
    st.sampled_from([Sampling(), Sampling(top_k=1), Sampling(top_p=0.3), Sampling(3.0, top_k=2)]),
    st.integers(0, 5),
)
def test_what_is_generated_meets_every_constraint(motifs, gc, sampling, seed):
    template = "N" * 10 + "TANAAT" + "N" * 24
    try:
        asked = constraint(40, motifs, gc, template)
        made = generate(MODEL, PROMPTS, 40, sampling=sampling, seed=seed, constraint=asked)
    except InputError:  # shown to be right in tests/genome/test_constraint.py
        return
    least, most = GcRange.from_text(gc).counts(40)
    for prompt, letters in zip(PROMPTS, letters_of(made), strict=True):
        before = DNA_VOCABULARY.decode(prompt)
        assert not any(end >= len(before) for end in search(motifs, before + letters))
        assert least <= sum(letters.count(base) for base in "CG") <= most
        assert all(t in (base, "N") for t, base in zip(template, letters, strict=True))


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.5, top_k=3, top_p=0.9)])
def test_a_constraint_that_forbids_nothing_changes_no_base(sampling):
    plain, again = (
        generate(MODEL, PROMPTS, 100, sampling=sampling, seed=2, constraint=asked)
        for asked in (None, constraint(100, gc="0-1"))
    )
    assert letters_of(plain) == letters_of(again)
    assert [each.log_likelihood for each in plain] == [each.log_likelihood for each in again]


def test_the_log_likelihood_under_a_constraint_is_the_model_s_own():
    asked = constraint(60, ["TA", "ANT"], "0.4-0.5")
    for prompt, each in zip(PROMPTS, generate(MODEL, PROMPTS, 60, constraint=asked), strict=True):
        assert each.log_likelihood == pytest.approx(total(prompt, each), rel=1e-4)
    (alone,) = generate(MODEL, [NOTHING], 60, constraint=asked)
    assert alone.log_likelihood == pytest.approx(total(NOTHING, alone), rel=1e-4)


def test_under_a_constraint_bases_keep_the_odds_that_the_model_gives():
    """Of the second base after A, with AC forbidden (and GT, its reverse complement)."""
    made = generate(MODEL, [encode("A")] * 2000, 1, constraint=constraint(1, ["AC"]))
    drawn = np.array([each.tokens[0] for each in made])
    with torch.no_grad():
        p = MODEL(torch.tensor([[7]])).logits[0, 0, 7:11]
    p[1] = -torch.inf
    for base, expected in enumerate(p.softmax(-1).tolist(), start=7):
        assert (drawn == base).mean() == pytest.approx(expected, abs=0.05)


def test_a_constraint_of_another_request_is_an_error():
    with pytest.raises(ValueError, match="constraint is for 5 bases, and 4 are generated"):
        generate(MODEL, [NOTHING], 4, constraint=constraint(5))
    with pytest.raises(ValueError, match="has its own template"):
        generate(MODEL, [NOTHING], 4, constraint=constraint(4), template=encode("ACGT"))
