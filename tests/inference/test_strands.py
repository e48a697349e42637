"""The mean of both strands is the same whichever of them is given."""

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictor import Predictor
from megabase.model.load import save
from tests import toys

LETTERS = (toys.letters(150), toys.letters(20, seed=1) + "N" + toys.letters(30, seed=2))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save(toys.model(), folder)
    return Predictor.load(str(folder), device="cpu")


def test_the_other_strand_has_the_same_mean_in_its_own_order(predictor):
    tokens = [DNA_VOCABULARY.encode(letters).tokens for letters in LETTERS]
    turned = [DNA_VOCABULARY.reverse_complement(each) for each in tokens]
    forward = list(predictor.log_likelihoods(tokens, stride=32))
    mean = list(predictor.log_likelihoods(tokens, stride=32, strand="average"))
    other = list(predictor.log_likelihoods(turned, stride=32, strand="average"))
    reverse = list(predictor.log_likelihoods(turned, stride=32))
    for one, two, plus, minus in zip(mean, other, forward, reverse, strict=True):
        np.testing.assert_allclose(one, two[::-1], rtol=1e-5)
        np.testing.assert_allclose(one, (plus + minus[::-1]) / 2, rtol=1e-5)
        assert np.nanmax(np.abs(one - plus)) > 1e-2
    assert np.flatnonzero(np.isnan(mean[1])).tolist() == [20]


def test_an_invalid_strand_is_an_error(predictor):
    with pytest.raises(InputError, match="the strand must be one of average, forward; got 'both'"):
        predictor.log_likelihoods([], strand="both")
