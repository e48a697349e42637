"""Bits per base count every held-out base once, for the model and for its baselines alike."""

import math

import numpy as np
import pytest

from megabase.data.token_store import open_token_store
from megabase.evaluation.perplexity import (
    evaluate_held_out,
    evaluate_perplexity,
    held_out_bits,
)
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictor import Predictor
from megabase.metrics.markov import fit_markov
from megabase.model.load import save
from tests import toys

TRAIN = [Interval("chrI", 0, 5000)]
TEST = [Interval("chrI", 5000, 5300), Interval("chrII", 0, 500)]


@pytest.fixture
def store(tmp_path):
    contigs = {"chrI": toys.letters(5100) + "NNNNN" + toys.letters(300), "chrII": toys.letters(510)}
    return open_token_store(toys.write_fasta(tmp_path / "genome.fa", contigs), cache=tmp_path)


@pytest.fixture
def predictor(tmp_path):
    save(toys.model(), tmp_path)
    return Predictor.load(str(tmp_path), device="cpu")


def test_every_base_is_counted_once(store, predictor):
    report = evaluate_perplexity(predictor, store, TEST, TRAIN)
    assert (report.n_bases, report.n_unknown) == (300 - 5 + 500, 5)
    assert report.n_windows == math.ceil(300 / 64) + math.ceil(500 / 64)
    assert report.context_length == 64


def test_bits_of_the_model_are_summed_window_by_window(store, predictor):
    report = evaluate_perplexity(predictor, store, TEST, TRAIN)
    total = 0.0
    for region in TEST:
        for window in region.windows(64):
            before = 1 if window.start else 0
            wide = Interval(window.contig, window.start - before, window.end)
            (values,) = predictor.log_likelihoods([store.fetch(wide)])
            total -= np.nansum(values[before:]) / math.log(2)
    assert report.model.bits_per_base == pytest.approx(total / report.n_bases, rel=1e-6)
    plain = report.to_dict()
    assert plain["perplexity"] == pytest.approx(2 ** (total / report.n_bases))
    low, high = plain["perplexity_interval"]
    assert low < plain["perplexity"] < high


@pytest.fixture
def remembering(tmp_path):
    save(toys.model(memory_orders=[2, 6], pointer_orders=[8]), tmp_path)
    return Predictor.load(str(tmp_path), device="cpu")


def test_the_memory_has_read_the_training_regions_and_what_precedes_a_window(store, remembering):
    report = evaluate_perplexity(remembering, store, TEST[:1], TRAIN)
    mixer = remembering.language.backbone.memory
    contig = DNA_VOCABULARY.to_bases(store.fetch(Interval("chrI", 0, 5300)))
    features = mixer.new_memory(5300).read(contig)
    total = 0.0
    for window in TEST[0].windows(64):
        tokens = store.fetch(Interval("chrI", window.start - 1, window.end))
        known = iter([features[window.start - 1 : window.end]])
        (values,) = remembering.log_likelihoods([tokens], features=known)
        total -= np.nansum(values[1:]) / math.log(2)
    assert report.model.bits_per_base == pytest.approx(total / report.n_bases, rel=1e-6)
    within = evaluate_perplexity(remembering, store, TEST[:1], TRAIN, memory="window")
    assert within.model.bits_per_base != report.model.bits_per_base
    assert within.markov == report.markov


def test_the_memory_may_have_read_another_genome_before(store, remembering, tmp_path):
    relative = {"other": toys.letters(200, 7) + toys.letters(300)}
    other = open_token_store(toys.write_fasta(tmp_path / "other.fa", relative), cache=tmp_path)
    report = evaluate_perplexity(remembering, store, TEST[:1], TRAIN, earlier=[other])
    numbers = [
        DNA_VOCABULARY.to_bases(other.fetch(Interval("other", 0, 500))),
        [4],
        DNA_VOCABULARY.to_bases(store.fetch(Interval("chrI", 0, 5300))),
    ]
    memory = remembering.memory.new_memory(6000)
    features = memory.read(np.concatenate(numbers).astype(np.uint8))[501:]
    first = store.fetch(Interval("chrI", 4999, 5064))
    known = iter([features[4999:5064]])
    (values,) = remembering.log_likelihoods([first], features=known)
    one = evaluate_perplexity(
        remembering, store, [Interval("chrI", 5000, 5064)], TRAIN, earlier=[other]
    )
    assert one.model.bits_per_base == pytest.approx(np.mean(values[1:]) / -math.log(2), rel=1e-6)
    plain = evaluate_perplexity(remembering, store, TEST[:1], TRAIN)
    assert report.model.bits_per_base != plain.model.bits_per_base


def test_the_model_alone_has_the_same_bits(store, predictor):
    report = evaluate_perplexity(predictor, store, TEST, TRAIN, context_length=60)
    assert held_out_bits(predictor, store, TEST, context_length=60) == report.model


def test_windows_may_be_shorter_than_what_the_model_reads(store, predictor):
    report = evaluate_perplexity(predictor, store, TEST[:1], TRAIN, context_length=30)
    whole = evaluate_perplexity(predictor, store, TEST[:1], TRAIN)
    assert (report.context_length, report.n_windows, report.n_bases) == (30, 10, 295)
    assert report.markov.bits_per_base == pytest.approx(whole.markov.bits_per_base)
    assert report.model.bits_per_base != whole.model.bits_per_base
    with pytest.raises(ValueError, match=r"from 1 to the 64 bases that .*; got 65"):
        evaluate_perplexity(predictor, store, TEST, TRAIN, context_length=65)


def test_the_markov_model_sees_all_that_precedes_a_base(store, predictor):
    report = evaluate_perplexity(predictor, store, TEST[:1], TRAIN)
    bases = DNA_VOCABULARY.to_bases(store.fetch(Interval("chrI", 0, 5300)))
    ln_p = fit_markov([bases[:5000]]).log_probabilities(bases)[5000:]
    assert report.markov.bits_per_base == pytest.approx(-np.nanmean(ln_p) / math.log(2))
    assert report.order0.bits_per_base == pytest.approx(2.0, abs=0.02)


def test_the_gain_is_the_difference_on_the_same_bases(store, predictor):
    report = evaluate_perplexity(predictor, store, TEST, TRAIN)
    expected = report.markov.bits_per_base - report.model.bits_per_base
    assert report.gain.bits_per_base == pytest.approx(expected)
    assert report.gain.interval.low < expected < report.gain.interval.high


def test_regions_of_n_alone_are_an_error(store, predictor):
    with pytest.raises(ValueError, match="have no bases other than N"):
        evaluate_perplexity(predictor, store, [Interval("chrI", 5100, 5105)], TRAIN)


def test_positions_in_the_window_share_out_all_bases(store, tmp_path):
    save(toys.model(max_seq_len=2502), tmp_path / "long")
    predictor = Predictor.load(str(tmp_path / "long"), device="cpu")
    region = [Interval("chrI", 0, 5300)]
    report = evaluate_perplexity(predictor, store, region, TRAIN)
    places = [(each.start, each.end, each.n_bases) for each in report.by_position]
    # windows of 2,500, 2,500 and 300 bases; the five N are in the third
    assert places == [(0, 1024, 2343), (1024, 2048, 2048), (2048, 2500, 904)]
    total = sum(each.bits.bits_per_base * each.n_bases for each in report.by_position)
    assert total / report.n_bases == pytest.approx(report.model.bits_per_base)


def test_few_windows_have_no_interval(store, predictor):
    report = evaluate_perplexity(predictor, store, [Interval("chrII", 0, 70)], TRAIN)
    assert report.model.interval is None
    assert report.to_dict()["perplexity_interval"] is None


@pytest.mark.parametrize(("keys", "memory"), [(toys.MEMORY, "window"), ({}, None)])
def test_genomes_that_nothing_would_read_are_refused(tmp_path, keys, memory):
    save(toys.model(**keys), tmp_path / "model")
    genome = toys.write_fasta(tmp_path / "g.fa", {"chrI": toys.letters(900)})
    with pytest.raises(ValueError, match="nothing would read the genomes of --remember"):
        evaluate_held_out(
            str(tmp_path / "model"), str(genome), memory=memory, remember=[str(genome)]
        )
