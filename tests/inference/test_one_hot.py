"""One-hot letters get the answer of the letters, and gradients that are true."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.adapters import OneHotModel
from megabase.inference.hidden import hidden_states
from megabase.inference.likelihood import log_likelihoods
from tests import toys

MODEL = toys.model()
REMEMBERING = toys.model(**toys.MEMORY)
LETTERS = toys.letters(20) + "NN" + toys.letters(20, seed=1)


def columns(*sequences):
    """Give (batch, 4, length), with zeros where the letter is N."""
    bases = np.stack(
        [DNA_VOCABULARY.to_bases(DNA_VOCABULARY.encode(each).tokens) for each in sequences]
    )
    return one_hot(torch.from_numpy(bases).long(), 5)[..., :4].transpose(1, 2).float()


@pytest.mark.parametrize("model", [MODEL, REMEMBERING], ids=["plain", "with a memory"])
def test_values_are_those_of_the_letters_with_0_at_n(model):
    other = toys.repeats(42, seed=2)
    x = columns(LETTERS, other)
    tokens = [DNA_VOCABULARY.encode(letters).tokens for letters in (LETTERS, other)]
    expected = np.nan_to_num(np.stack(list(log_likelihoods(model, tokens))))
    with torch.no_grad():
        each = OneHotModel(model, "log_likelihoods")(x).numpy()
        total = OneHotModel(model)(x).numpy()
    np.testing.assert_allclose(each, expected, rtol=1e-4, atol=1e-5)
    assert each[0, 20:22].tolist() == [0, 0]
    np.testing.assert_allclose(total, expected.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("model", [MODEL, REMEMBERING], ids=["plain", "with a memory"])
def test_the_embedding_is_the_mean_of_the_hidden_states(model):
    tokens = torch.from_numpy(DNA_VOCABULARY.encode(LETTERS).tokens.astype(int))[None]
    with torch.no_grad():
        found = OneHotModel(model, "embedding")(columns(LETTERS))
    expected = hidden_states(model, tokens).mean(dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("keys", [{}, toys.MEMORY], ids=["plain", "with a memory"])
@pytest.mark.parametrize("readout", ["log_likelihood", "log_likelihoods", "embedding"])
def test_gradients_are_those_of_finite_differences(readout, keys):
    wrapped = OneHotModel(toys.model(**keys).double(), readout)
    x = columns("ACNGTTA").double()
    x[0, :, 3] = torch.tensor([0.2, 0.1, 0.3, 0.1])  # a mixture, which attribution asks for
    assert torch.autograd.gradcheck(wrapped, x.requires_grad_())


def test_integers_are_read_as_the_same_letters():
    wrapped = OneHotModel(MODEL)
    with torch.no_grad():
        assert torch.equal(wrapped(columns(LETTERS).to(torch.int8)), wrapped(columns(LETTERS)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: OneHotModel(MODEL, "logits"),
            "readout must be one of log_likelihood, .*'logits'",
        ),
        (lambda: OneHotModel(MODEL)(torch.zeros(1, 5, 9)), r"rows A C G T; got \(1, 5, 9\)"),
        (lambda: OneHotModel(MODEL)(torch.zeros(1, 4, 90)), "of 90 tokens is longer than"),
    ],
)
def test_what_cannot_be_read_is_an_error(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_the_mode_is_that_of_the_model():
    assert not OneHotModel(MODEL).training
    assert OneHotModel(toys.model().train()).training


def of_tangermeme(name):
    """Give the function of a module of its name."""
    why = "needs tangermeme, which no extra brings: pip install tangermeme"
    return getattr(pytest.importorskip(f"tangermeme.{name}", reason=why), name)


@pytest.mark.filterwarnings("default")  # of what it imports
def test_the_experiments_of_tangermeme_run():
    ablate, marginalize, saliency, saturation_mutagenesis = map(
        of_tangermeme, ("ablate", "marginalize", "saliency", "saturation_mutagenesis")
    )
    letters = toys.letters(40), toys.letters(40, seed=1)
    model, x = OneHotModel(MODEL), columns(*letters)
    options = {"device": "cpu"}
    before, after = marginalize(model, x, "TATAAT", start=10, **options)
    motif = [text[:10] + "TATAAT" + text[16:] for text in letters]
    with torch.no_grad():
        torch.testing.assert_close(before, model(x))
        torch.testing.assert_close(after, model(columns(*motif)))
        turned = model(columns(letters[0][:7] + "T" + letters[0][8:]))
    _, shuffled = ablate(model, x, 5, 15, n=3, random_state=0, **options)
    assert shuffled.shape == (2, 3, 1)
    y0, each = saturation_mutagenesis(
        model, x[:1], start=7, end=8, raw_outputs=True, fast=False, **options
    )
    torch.testing.assert_close(y0, model(x[:1]).detach())
    torch.testing.assert_close(each[0, 3, 0], turned[0])
    slopes = saliency(model, x, hypothetical=True, gradient_correction=False, **options)
    leaf = x.clone().requires_grad_()
    model(leaf).sum().backward()
    torch.testing.assert_close(slopes, leaf.grad)
