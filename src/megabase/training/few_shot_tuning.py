"""Tune a language model briefly on few-shot prompts to predict the letter of each class."""

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from megabase.data.demonstrations import DemonstrationPool
from megabase.errors import WorkError
from megabase.genome.few_shot_prompt import Shot, answer_token, check_fits, few_shot_prompt
from megabase.model.language import NO_TARGET
from megabase.model.modeling import HyenaDNAForCausalLM

# Nguyen et al. 2023, arXiv:2306.15794v2, A.3 and the released script
LEARNING_RATE = 1e-4
BATCH_SIZE = 2


class TuningSample(NamedTuple):
    """A query with its demonstrations; the label of the query is the answer to learn."""

    shots: list[Shot]
    query: Shot

    def check(self, context_length: int, n_classes: int) -> None:
        """Raise an InputError if the prompt is longer than the context."""
        length = len(self.query.sequence)
        check_fits(self.shots, length, context_length, n_classes=n_classes)


def draw_samples(
    pool: DemonstrationPool, n_samples: int, *, n_per_class: int, n_classes: int, seed: int
) -> list[TuningSample]:
    """Draw queries from training rows, equally often from each class, and their demonstrations.

    Parameters
    ----------
    pool
        The training rows.
    n_samples
        Number of queries; if it is not a multiple of `n_classes`, some classes have one more.
    n_per_class
        Number of demonstrations of each class in a prompt; the query is never among them.
    n_classes
        Number of classes.
    seed
        Seed of the draw.

    Raises
    ------
    InputError
        If a class has too few rows.
    """
    queries = pool.draw(-(-n_samples // n_classes), seed=(seed, 1))[:n_samples]
    return [
        TuningSample(pool.draw(n_per_class, seed=(seed, 2, number), beside=query.sequence), query)
        for number, query in enumerate(queries)
    ]


def tune_few_shot(
    model: HyenaDNAForCausalLM,
    samples: Sequence[TuningSample],
    letters: str,
    *,
    seed: int,
    learning_rate: float = LEARNING_RATE,
    advance: Callable[[int], None] | None = None,
) -> HyenaDNAForCausalLM:
    """Return a copy of a language model that was tuned on each sample once.

    The loss is the cross-entropy of the answer among all tokens, in nats; no other position
    counts. AdamW trains all weights at a constant learning rate without weight decay, in steps
    of two samples. The prompts of a step are read one after the other, without padding.

    Parameters
    ----------
    model
        A causal language model; it is not modified.
    samples
        The samples to learn from.
    letters
        The letter of each class, in the order of class numbers.
    seed
        Seed of the order of the samples and of dropout.
    learning_rate
        Learning rate of AdamW.
    advance
        Called with 1 after each sample.

    Raises
    ------
    InputError
        If a prompt is longer than the context.
    WorkError
        If the loss becomes NaN or infinite.

    Source
    ------
    Nguyen et al. 2023, arXiv:2306.15794v2, A.3: rate 1e-4, batch 2, one epoch.
    """
    for sample in samples:
        sample.check(model.config.context_length, len(letters))
    tuned = copy.deepcopy(model)
    device = next(tuned.parameters()).device
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=learning_rate, weight_decay=0.0)
    order = np.random.default_rng([seed, 3]).permutation(len(samples))
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.enable_grad():
        torch.manual_seed(seed)
        tuned.train()
        for start in range(0, len(order), BATCH_SIZE):
            optimizer.zero_grad()
            batch = [samples[place] for place in order[start : start + BATCH_SIZE]]
            for sample in batch:
                _add_gradient(tuned, sample, letters, 1 / len(batch))
                if advance is not None:
                    advance(1)
            optimizer.step()
    return tuned.eval()


def _add_gradient(
    model: HyenaDNAForCausalLM, sample: TuningSample, letters: str, share: float
) -> None:
    prompt = few_shot_prompt(sample.shots, sample.query.sequence, letters)
    answered = np.concatenate([prompt, answer_token(letters[sample.query.label])])
    tokens = torch.from_numpy(answered.astype(np.int64)).to(next(model.parameters()).device)[None]
    labels = torch.full_like(tokens, NO_TARGET)
    labels[:, -1] = tokens[:, -1]
    loss = model(tokens, labels=labels, skip_logits=True).loss * share
    if not torch.isfinite(loss):
        raise WorkError("the loss is NaN or infinite; lower the learning rate")
    loss.backward()
