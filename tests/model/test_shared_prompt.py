"""Going on from a prompt that was read once gives what the whole sequence gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.model.cache import SharedPrompt
from tests import toys

MODEL = toys.model(max_seq_len=202).double()
WITH_MEMORY = toys.model(max_seq_len=202, **toys.MEMORY).double()


def both(n_prompt, lengths, model=MODEL):
    """Give the logits after the last token of each sequence: shared, and read whole."""
    prompt = toys.tokens(1, n_prompt, seed=n_prompt)[0]
    tokens = toys.tokens(len(lengths), max(lengths), seed=7)
    shared = SharedPrompt(model.backbone, prompt, max(lengths))
    ours = shared.logits_after(tokens, torch.tensor(lengths) - 1)
    wholes = [torch.cat([prompt, row[:n]]) for row, n in zip(tokens, lengths, strict=True)]
    with torch.no_grad():
        return ours, torch.stack([model(whole[None]).logits[0, -1] for whole in wholes])


@settings(deadline=None, max_examples=20)
@given(n_prompt=st.integers(1, 120), lengths=st.lists(st.integers(1, 80), min_size=1, max_size=3))
def test_as_if_read_whole(n_prompt, lengths):
    torch.testing.assert_close(*both(n_prompt, lengths), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("keys", [{"short_filter_order": 1}, {"short_filter_order": 5},
                                  {"d_model": 36, "n_layer": 1}])  # fmt: skip
def test_other_shapes(keys):
    model = toys.model(**keys).double()
    for n_prompt in (1, 2, 40):
        torch.testing.assert_close(*both(n_prompt, [3, 20], model))


def test_each_continuation_has_the_memory_of_the_prompt_and_its_own():
    whole = toys.repeated_tokens(3, 200)
    shared = SharedPrompt(WITH_MEMORY.backbone, whole[0, :70], 90)
    tokens = whole[:, 70:160]  # of which only the first repeats letters of the prompt
    last = torch.tensor([89, 20, 60])
    truth = []
    for row, end in zip(tokens, last, strict=True):
        with torch.no_grad():
            read = torch.cat([whole[0, :70], row[: end + 1]])
            truth.append(WITH_MEMORY(read[None]).logits[0, -1])
    padded = tokens.where(torch.arange(90) <= last[:, None], torch.tensor(4))
    for batch in (tokens, padded):
        torch.testing.assert_close(shared.logits_after(batch, last), torch.stack(truth))


@pytest.mark.parametrize("model", [MODEL, WITH_MEMORY])
def test_one_batch_leaves_the_next_alone(model):
    shared = SharedPrompt(model.backbone, toys.tokens(1, 30)[0], 20)
    tokens, last = toys.tokens(2, 20, seed=1), torch.tensor([19, 4])
    first = shared.logits_after(tokens, last)
    shared.logits_after(toys.tokens(3, 10, seed=2), torch.tensor([9, 9, 1]))
    torch.testing.assert_close(shared.logits_after(tokens, last), first, rtol=0, atol=0)


def test_more_than_the_model_has_positions_for_is_an_error():
    with pytest.raises(ValueError, match="3 tokens and 200 more exceed this model's 202 positions"):
        SharedPrompt(MODEL.backbone, toys.tokens(1, 3)[0], 200)
