"""Brief tuning teaches a copy of a model to answer, and leaves the model alone."""

import pytest
import torch

from megabase.data.demonstrations import DemonstrationPool
from megabase.genome.few_shot_prompt import Shot
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.few_shot_answers import few_shot_probabilities
from megabase.training.few_shot_tuning import draw_samples, tune_few_shot
from tests import toys


def rows(n, seed):
    """Give rows that end with the letter of their class: to answer is to copy."""
    texts = [toys.letters(6, seed=1000 * seed + row) + 2 * "AN"[row % 2] for row in range(n)]
    return [Shot(DNA_VOCABULARY.encode(text).tokens, row % 2) for row, text in enumerate(texts)]


POOL = DemonstrationPool(rows(200, 1), ("a", "n"), [])
MANY = DemonstrationPool(rows(600, 1), ("a", "n"), [])
TEST = rows(40, 2)


def model(**keys):
    return toys.model(**{"max_seq_len": 130, "d_model": 16, "n_layer": 1} | keys)


def samples(n, seed=0, pool=POOL):
    return draw_samples(pool, n, n_per_class=1, n_classes=2, seed=seed)


def accuracy(tuned):
    shots = POOL.draw(1, seed=(0, 0))
    found = few_shot_probabilities(tuned, shots, [row.sequence for row in TEST], "AN")
    return (found.argmax(1) == [row.label for row in TEST]).mean()


@pytest.mark.learned
def test_after_tuning_it_answers_better_than_chance_and_the_model_is_as_it_was():
    # so many samples at so low a rate that from each of the seeds 2 to 5 all are right
    untuned, advanced = model(seed=2, embed_dropout=0.0), []
    before = {name: value.clone() for name, value in untuned.state_dict().items()}
    many = samples(400, seed=2, pool=MANY)
    tuned = tune_few_shot(
        untuned, many, "AN", seed=2, learning_rate=1.5e-3, advance=advanced.append
    )
    assert accuracy(untuned) < 0.65
    assert accuracy(tuned) >= 0.85
    assert (sum(advanced), tuned.training) == (400, False)
    for name, value in untuned.state_dict().items():
        assert torch.equal(value, before[name])
        assert not torch.equal(value, tuned.state_dict()[name])


def test_a_seed_gives_the_same_weights_and_another_seed_others():
    untuned = model(embed_dropout=0.1)
    first, again, other = (
        tune_few_shot(untuned, samples(4), "AN", seed=seed).backbone.embedding.weight
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_none_of_the_random_numbers_of_others_are_used_up():
    untuned, drawn = model(embed_dropout=0.1), samples(2)
    state = torch.get_rng_state()
    tune_few_shot(untuned, drawn, "AN", seed=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_only_the_answer_counts():
    """A step of two samples, by hand: Adam's first step is the sign of the gradient."""
    untuned, two = model(embed_dropout=0.0), samples(2)
    tuned = tune_few_shot(untuned, two, "AN", seed=0, learning_rate=0.01)
    loss = torch.zeros(())
    for shots, query in two:
        parts = [(*shot.sequence, 1, (7, 11)[shot.label], 1) for shot in shots]
        prompt = [int(token) for part in parts for token in part]
        prompt += [*map(int, query.sequence), 1]
        logits = untuned(torch.tensor([prompt])).logits[0, -1]
        loss = loss - logits.log_softmax(-1)[(7, 11)[query.label]] / 2
    loss.backward()
    moved = tuned.backbone.embedding.weight - untuned.backbone.embedding.weight
    gradient = untuned.backbone.embedding.weight.grad
    large = gradient.abs() > 1e-5
    assert large.sum() > 50
    torch.testing.assert_close(moved[large], -0.01 * gradient[large].sign(), rtol=1e-2, atol=1e-5)


def test_samples_are_of_each_class_and_have_demonstrations_of_their_own():
    drawn = samples(5)
    assert sorted(sample.query.label for sample in drawn) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])
    assert len({tuple(shot.sequence.tobytes() for shot in each.shots) for each in drawn}) == 5
    for sample in drawn:
        assert sample.query.sequence.tobytes() not in {s.sequence.tobytes() for s in sample.shots}
    assert draw_samples(POOL, 0, n_per_class=1, n_classes=2, seed=0) == []


def test_a_prompt_over_the_context_is_an_error():
    with pytest.raises(ValueError, match=r"the model reads at most 20; 0 such shots per class fit"):
        tune_few_shot(model(max_seq_len=22), samples(2), "AN", seed=0)
