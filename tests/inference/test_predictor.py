"""A predictor is a loaded model that answers."""

import numpy as np

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.likelihood import log_likelihoods
from megabase.inference.predictor import Predictor
from megabase.model.load import save, weights_sha256
from tests import toys

MODEL = toys.model()


def test_it_answers_as_the_model_that_was_saved(tmp_path, device):
    save(MODEL, tmp_path)
    predictor = Predictor.load(str(tmp_path), device=str(device))
    tokens = DNA_VOCABULARY.encode(toys.letters(50)).tokens
    (ours,), (direct,) = predictor.log_likelihoods([tokens]), log_likelihoods(MODEL, [tokens])
    np.testing.assert_allclose(ours, direct, rtol=1e-4)
    assert predictor.context_length == 64
    assert predictor.weights_sha256 == weights_sha256(MODEL)
