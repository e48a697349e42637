"""The convolutional baseline learns, is blind to padding, and is trained as a model is."""

from uuid import uuid4

import numpy as np
import pytest
import torch

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictions import predictions
from megabase.metrics.task_metrics import metrics_of
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import ANY_LABELS, SequenceModel, losses
from megabase.model.language import pad
from megabase.runtime.log import Meter
from megabase.training.checkpoint import Checkpoints
from megabase.training.cnn import (
    LEARNING_RATE,
    ConvolutionalNetwork,
    cnn_config,
    fit_cnn,
    make_cnn,
)
from megabase.training.labelled import LabelledData
from megabase.training.run_config import AdaptConfig
from tests.labelled_tables import motif_rows

CONFIG = AdaptConfig(epochs=3, batch_size=16, device="cpu", learning_rate=0.5, model="elsewhere")
CLASSES = Labels(("0", "1"))


def rows(n, seed):
    some = motif_rows(n, seed=seed)
    tokens = [DNA_VOCABULARY.encode(row["sequence"]).tokens for row in some]
    return Examples(tokens, np.array([int(row["label"]) for row in some]))


def in_unit(examples):
    """Give the number of G in a unit far from 1."""
    g = DNA_VOCABULARY.id_of("G")
    counts = [np.count_nonzero(tokens == g) for tokens in examples.sequences]
    return Examples(examples.sequences, 1000.5 + 100.0 * np.array(counts))


def data(labels=CLASSES, change=lambda examples: examples):
    parts = [change(rows(n, seed)) for seed, n in enumerate((160, 40, 60))]
    return LabelledData(labels, *parts, [], 26)


def fitted(folder, of, config=CONFIG, seed=0):
    meter = Meter(config.epochs, "epochs", None)
    checkpoints = Checkpoints(folder / uuid4().hex)
    return fit_cnn(config, of, seed=seed, checkpoints=checkpoints, meter=meter)


def test_what_is_trained_in_bfloat16_answers_in_float32(tmp_path):
    of, half = data(), CONFIG.model_copy(update={"precision": "bfloat16", "epochs": 1})
    network, _ = fitted(tmp_path, of, half)
    again = make_cnn(half, of.labels, seed=0)
    again.load_state_dict(network.state_dict())
    answers = [
        np.stack(list(predictions(each.eval(), of.test.sequences))) for each in (network, again)
    ]
    np.testing.assert_array_equal(*answers)


@pytest.mark.learned
def test_a_motif_is_learnt_and_test_rows_are_measured(tmp_path):
    of = data()
    network, record = fitted(tmp_path, of)
    answers = np.stack(list(predictions(network, of.test.sequences, strand="average")))
    assert metrics_of("binary", of.test.labels, answers)["accuracy"] > 0.9
    assert record["validation"] == record["epochs"][record["best_epoch"] - 1]
    answers = np.stack(list(predictions(network, of.validation.sequences)))
    measured = metrics_of("binary", of.validation.labels, answers)
    assert {name: record["validation"][name] for name in measured} == pytest.approx(measured)


def test_the_same_seed_gives_the_same_bits_and_another_others(tmp_path):
    of, config = data(), CONFIG.model_copy(update={"epochs": 1})
    first, again, other = (fitted(tmp_path, of, config, seed)[0] for seed in (3, 3, 4))
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert not torch.equal(first.fc1.weight, other.fc1.weight)


@pytest.mark.learned
def test_values_are_learnt_in_their_own_unit(tmp_path):
    labels = in_unit(rows(160, 0)).labels
    of = data(Labels((), float(labels.mean()), float(labels.std())), in_unit)
    network, record = fitted(tmp_path, of)
    answers = np.stack(list(predictions(network, of.test.sequences)))[:, 0]
    assert metrics_of("regression", of.test.labels, answers)["r2"] > 0.5
    assert record["validation"]["loss"] < 0.5


@pytest.mark.parametrize("length", range(1, 40))
def test_padding_never_changes_an_answer(length):
    network = make_cnn(CONFIG, CLASSES, seed=0).eval()
    rng = np.random.default_rng(length)
    short, long = (rng.integers(7, 12, n).astype(np.uint8) for n in (length, 57))
    tokens, mask = pad([short, long])
    tokens[0, length:] = 7  # the mask tells, not the token
    with torch.no_grad():
        together = network(tokens, mask).logits
        alone = [network(torch.from_numpy(each[None].astype(int))).logits for each in (short, long)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=1e-5)


def test_an_unknown_base_is_zeros_and_a_known_one_is_not():
    network = make_cnn(CONFIG, CLASSES, seed=0).eval()
    tokens = torch.from_numpy(DNA_VOCABULARY.encode("ACGTN" * 5).tokens.astype(int))[None]
    as_padding = tokens.clone()
    as_padding[tokens == DNA_VOCABULARY.unknown_id] = DNA_VOCABULARY.id_of("[PAD]")
    changed = tokens.clone()
    changed[0, 12] = 7
    answers = [network(each).logits for each in (tokens, as_padding, changed)]
    assert torch.equal(answers[0], answers[1])
    assert not torch.allclose(answers[0], answers[2])


def test_it_has_as_many_parameters_as_its_docstring_says():
    network = make_cnn(CONFIG, CLASSES, seed=0)
    n = sum(parameter.numel() for parameter in network.parameters())
    assert 100_000 < n < 500_000
    assert f"{n:,} parameters" in " ".join(ConvolutionalNetwork.__doc__.split())
    assert isinstance(network, SequenceModel)


def test_many_labels_have_a_logit_each_and_a_loss():
    network = ConvolutionalNetwork(HyenaDNAConfig(num_labels=5, problem_type=ANY_LABELS))
    logits = network(torch.full((3, 9), 7)).logits
    assert logits.shape == (3, 5)
    assert losses(logits, torch.ones(3, 5), network.config).isfinite().all()


def test_its_run_is_that_of_the_model_but_for_start_and_rate():
    own = cnn_config(CONFIG.model_copy(update={"adapt": "head", "class_weights": "balanced"}))
    assert (own.model, own.adapt, own.peak_rate) == (None, "full", LEARNING_RATE)
    assert (own.epochs, own.batch_size, own.class_weights) == (3, 16, "balanced")


def test_what_is_not_of_whole_sequences_or_does_not_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match="got problem_type token"):
        ConvolutionalNetwork(HyenaDNAConfig(problem_type="token"))
    with pytest.raises(InputError, match="use shorter sequences"):
        fitted(tmp_path, data(), CONFIG.model_copy(update={"memory_gib": 0.1}))
