"""A predictor is a loaded model that answers."""

import numpy as np
import pytest

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.likelihood import log_likelihoods
from megabase.inference.predictor import Predictor
from megabase.model.load import save
from megabase.model.reading import weights_sha256
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


def test_a_limit_of_memory_and_a_precision_reach_the_engine(tmp_path):
    save(MODEL, tmp_path)
    tokens = DNA_VOCABULARY.encode(toys.letters(50)).tokens
    (exact,) = Predictor.load(str(tmp_path), device="cpu").log_likelihoods([tokens])
    bounded = Predictor.load(str(tmp_path), device="cpu", max_memory_gib=1.0)
    (same,) = bounded.log_likelihoods([tokens])
    np.testing.assert_allclose(same, exact, rtol=1e-4)
    assert bounded.plan(longest=50, n_tokens=50).peak_gib <= 1.0
    rounded = Predictor.load(str(tmp_path), device="cpu", precision="bfloat16")
    (near,) = rounded.log_likelihoods([tokens])
    assert 1e-4 < np.abs(near - exact).max() < 0.3


def test_unavailable_limits_and_precisions_are_errors(tmp_path):
    save(MODEL, tmp_path)
    with pytest.raises(ValueError, match=r"weights alone take about 0\.4 GiB, .* is 0\.1 GiB"):
        Predictor.load(str(tmp_path), max_memory_gib=0.1)
    with pytest.raises(ValueError, match="one of float32, bfloat16; got 'float16'"):
        Predictor.load(str(tmp_path), precision="float16")
