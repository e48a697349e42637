"""The evidence of context finds what a model knows of it, and nothing where it knows nothing."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from megabase.data.token_store import open_token_store
from megabase.evaluation.context import FIGURE, JSON, PAGE, evaluate_context, report_context
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.plan import InferencePlan
from megabase.inference.predictor import Predictor
from megabase.model.load import save
from megabase.model.memory_mixer import MemoryMixer
from tests import toys

LENGTH = 512


class Copier(Predictor):
    """Knows a base for certain if the 12 bases before it stood in the sequence before."""

    memory = None  # pyright: ignore[reportAssignmentType] no property

    def __init__(self):
        self.context_length = LENGTH
        self.scored = []

    def plan(self, *, longest, n_tokens):
        return InferencePlan(0.0, 0.0, "toy")

    def log_likelihoods(self, sequences, features=None):
        for tokens in sequences:
            self.scored.append(tokens.tobytes())
            seen, values = {}, np.full(len(tokens), math.log(1 / 4), dtype=np.float32)
            for i in range(12, len(tokens)):
                before = tokens[i - 12 : i].tobytes()
                if before in seen:
                    values[i] = math.log(0.97 if seen[before] == tokens[i] else 0.01)
                seen[before] = tokens[i]
            yield values


class Guesser(Copier):
    """Knows nothing."""

    def log_likelihoods(self, sequences, features=None):
        for tokens in sequences:
            yield np.full(len(tokens), math.log(1 / 4), dtype=np.float32)


class Rememberer(Copier):
    """Reads 64 bases, and predicts what its memory has seen after the same 12 bases."""

    memory = MemoryMixer(toys.config(memory_orders=[12]))

    def __init__(self):
        super().__init__()
        self.context_length = 64

    def log_likelihoods(self, sequences, features=None):
        for tokens, rows in zip(sequences, features, strict=True):
            assert len(tokens) == len(rows) <= 64
            log_p = rows[:-1, :4].astype(np.float64) - math.log(4)
            numbers = DNA_VOCABULARY.to_bases(tokens)[1:]
            yield np.concatenate([[math.log(1 / 4)], log_p[np.arange(len(log_p)), numbers]])


@pytest.fixture
def store(tmp_path):
    # every 300 bases the last 100 are those of 300 before: far context that helps
    blocks = [toys.letters(200, seed=seed) + toys.letters(100, seed=99) for seed in range(40)]
    fasta = toys.write_fasta(tmp_path / "genome.fa", {"chrI": "".join(blocks)})
    return open_token_store(fasta, cache=tmp_path)


def evaluate(predictor, store):
    return evaluate_context(predictor, store, store.contigs(), n_windows=16)


def differences(entries):
    return {entry.distance: entry.difference.bits_per_base for entry in entries}


def test_a_model_that_copies_gains_recalls_and_misses_the_far_context(store):
    copier = Copier()
    report = evaluate(copier, store)
    assert len(copier.scored) == len(set(copier.scored))  # no sequence is paid for twice
    gain, shuffled, recall = map(differences, (report.gain, report.shuffled, report.recall))
    assert gain[64] == 0
    assert gain[384] > 0.2  # 300 bases back stands what comes
    doubled = differences(report.doubled)
    assert list(doubled) == [128, 256, 384]
    assert sum(doubled.values()) == pytest.approx(gain[384])
    assert doubled[384] > 0.2  # the copy stands 300 bases back
    whole = differences(report.whole)
    assert list(whole) == [64, 128, 256]
    assert whole[64] == gain[384]
    assert whole[128] == pytest.approx(doubled[256] + doubled[384])
    assert shuffled[64] > 0.2
    assert min(recall.values()) > 0.8
    assert (report.n_windows, report.n_targets, report.n_copied) == (16, 128, 64)


def test_a_memory_reads_more_than_the_network(store):
    report = evaluate_context(
        Rememberer(), store, store.contigs(), context_length=1024, n_windows=16
    )
    assert report.by_position == ()
    gain = differences(report.gain)
    assert max(gain[64], gain[128], gain[256]) < 0.1  # the repeats are 300 bases apart
    assert gain[1008] > 0.2
    assert min(differences(report.recall).values()) > 0.5
    changed = {name: differences(each)[128] for name, each in report.recall_changed.items()}
    assert changed["inverted"] == pytest.approx(differences(report.recall)[128], abs=0.2)
    assert changed["inverted"] > changed["5 % mutated"] > changed["10 % mutated"] > 0


def test_a_model_that_knows_nothing_shows_nothing(store):
    report = evaluate(Guesser(), store)
    for entries in (report.gain, report.doubled, report.whole, report.shuffled, report.recall):
        assert set(differences(entries).values()) == {0.0}
    assert [at.bits.bits_per_base for at in report.by_position] == pytest.approx([2.0])


def test_the_gain_of_context_can_be_measured_alone(store):
    whole, gain = (
        evaluate_context(Copier(), store, store.contigs(), n_windows=4, gain_only=only)
        for only in (False, True)
    )
    assert replace(whole, shuffled=(), recall=()) == gain


def test_windows_may_be_shorter_than_what_the_model_reads(store):
    report = evaluate_context(Copier(), store, store.contigs(), context_length=300, n_windows=4)
    assert (report.context_length, report.gain[-1].distance, report.n_targets) == (300, 225, 75)
    with pytest.raises(ValueError, match=r"from 1 to the 512 bases that .*; got 513"):
        evaluate_context(Copier(), store, store.contigs(), context_length=513)


def test_windows_with_n_are_skipped_and_too_few_are_an_error(tmp_path):
    contig = toys.letters(700) + "N" + toys.letters(600)
    fasta = toys.write_fasta(tmp_path / "n.fa", {"chrI": contig})
    store = open_token_store(fasta, cache=tmp_path)
    with pytest.raises(ValueError, match=r"at least two windows of 512 bp without N .* found 1"):
        evaluate(Guesser(), store)


def test_the_report_is_a_folder_with_page_figure_and_numbers(tmp_path):
    save(toys.model(max_seq_len=258), tmp_path / "model")
    genome = toys.write_fasta(tmp_path / "genome.fa", {"chrI": toys.letters(40_000)})
    output = tmp_path / "context"
    report = report_context(str(tmp_path / "model"), str(genome), output, n_windows=12)
    assert json.loads((output / JSON).read_text()) == json.loads(json.dumps(report))
    assert (output / FIGURE).read_bytes().startswith(b"\x89PNG")
    page = (output / PAGE).read_text()
    assert "data:image/png;base64," in page
    assert f"{report['gain'][-1]['difference']['bits_per_base']:.4f}" in page
    assert report["regions"] == [["chrI", 36_000, 40_000]]
    assert page.count("<h2>") == 6
    again = report_context(str(tmp_path / "model"), str(genome), output, n_windows=12)
    assert again == json.loads(json.dumps(report))
    brief = tmp_path / "brief"
    report_context(str(tmp_path / "model"), str(genome), brief, n_windows=12, gain_only=True)
    assert (brief / PAGE).read_text().count("<h2>") == 4
    with pytest.raises(ValueError, match="gain_only"):
        report_context(str(tmp_path / "model"), str(genome), brief, n_windows=12)


def test_without_matplotlib_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r"pip install 'megabase\[plot\]'"):
        report_context("no model", "no genome", tmp_path / "context")
