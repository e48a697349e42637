"""Windows come with the features of a memory that has read what precedes them."""

import os

import numpy as np
import pytest
from torch.utils.data import DataLoader

from megabase.data.remembered_windows import (
    GenomeText,
    SegmentMixture,
    SegmentPlan,
    features_of_windows,
    remember_text,
)
from megabase.data.token_store import open_token_store
from megabase.data.training_windows import StepWindows, as_batch, plan_lengths
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.ops.backends import new_memory
from megabase.ops.memory import FRONT, UNKNOWN, MemoryRules, default_odds
from tests.toys import letters, write_fasta

RULES = MemoryRules(orders=(2, 6), pointer_orders=(8,), life=100)
PLAN = SegmentPlan(n_open=2, length=300, steps=3, short_p=0.0, alone_p=0.0)


def _memory(expected):
    return new_memory(RULES, default_odds(), expected=expected)


def _numbers(text):
    return DNA_VOCABULARY.to_bases(DNA_VOCABULARY.encode(text, name="test").tokens)


@pytest.fixture
def contigs():
    repeat = letters(200, 5)
    return {
        "one": letters(400, 1) + repeat + "N" * 7 + letters(300, 2) + repeat,
        "two": repeat + letters(250, 3),
    }


@pytest.fixture
def store(tmp_path, contigs):
    return open_token_store(write_fasta(tmp_path / "g.fa", contigs), cache=tmp_path)


@pytest.fixture
def text(store):
    return GenomeText(store, store.contigs())


def _mixture(text, *, plan=PLAN, seed=0, max_unknown=0.1):
    return SegmentMixture(
        {"toy": text}, [1.0], new_memory=_memory, plan=plan, reverse_complement_p=0.5,
        max_unknown_fraction=max_unknown, seed=seed,
    )  # fmt: skip


def test_a_text_is_its_regions_with_an_unknown_letter_between_them(text, contigs):
    expected = np.concatenate([_numbers(contigs["one"]), [UNKNOWN], _numbers(contigs["two"])])
    assert len(text) == len(expected)
    np.testing.assert_array_equal(text.read(0, len(text)), expected)
    np.testing.assert_array_equal(text.read(1000, 1200), expected[1000:1200])
    reverse = np.where(expected == UNKNOWN, UNKNOWN, 3 - expected)[::-1]
    np.testing.assert_array_equal(text.read(0, len(text), "-"), reverse)
    np.testing.assert_array_equal(text.read(17, 530, "-"), reverse[17:530])


@pytest.mark.parametrize("strand", ["+", "-"])
def test_the_place_of_a_part_of_a_text_holds_its_letters(text, store, strand):
    n_outside = 0
    for start in range(0, len(text) - 50, 13):
        interval = text.interval(start, start + 50, strand)
        if interval is None:
            n_outside += 1
            continue
        there = DNA_VOCABULARY.to_bases(store.fetch(interval))
        np.testing.assert_array_equal(there, text.read(start, start + 50, strand))
    assert n_outside == 4  # parts over the unknown letter, 50 of them, of which every 13th is tried


def test_a_window_and_its_features_are_a_pure_function_of_seed_step_and_number(text):
    one, other = _mixture(text), _mixture(text)
    places = [(5, 0), (0, 3), (7, 1), (0, 3)]
    drawn = [one.window(*place, 40) for place in places]
    again = [other.window(*place, 40) for place in reversed(places)][::-1]
    assert drawn == again
    for a, b in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(a.window.memory, b.window.memory)
    assert drawn[1] == drawn[3]
    assert drawn[0] != _mixture(text, seed=1).window(5, 0, 40)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_that_is_forked_draws_the_same_windows(text):
    mixture = _mixture(text)
    mixture.window(0, 0, 40)  # threads have been started
    loader = DataLoader(
        StepWindows(mixture, plan_lengths(n_steps=6, context_length=40, tokens_per_step=80)),
        batch_size=None, num_workers=2, multiprocessing_context="fork",
    )  # fmt: skip
    for step, batch in enumerate(loader):
        features = [_mixture(text).window(step, n, 40).window.memory for n in range(2)]
        np.testing.assert_array_equal(batch["memory_features"], np.stack(features))


def test_the_memory_of_a_window_has_read_everything_before_it(text):
    whole = {}
    for strand in "+-":
        whole[strand] = _memory(len(text)).read(text.read(0, len(text), strand))
    mixture, strands = _mixture(text), set()
    for step in range(12):
        window = mixture.window(step, 0, 40).window
        strand = window.interval.strand
        starts = [s for s in range(len(text) - 39) if text.interval(s, s + 40, strand) == window.interval]  # fmt: skip # noqa: E501
        np.testing.assert_array_equal(window.memory, whole[strand][starts[0] : starts[0] + 40])
        strands.add(strand)
    assert strands == {"+", "-"}


def test_the_memory_of_a_window_alone_begins_with_it(text):
    mixture = _mixture(text, plan=PLAN.__class__(2, 300, 3, 0.0, 1.0))
    window = mixture.window(0, 0, 40).window
    alone = _memory(40).read(DNA_VOCABULARY.to_bases(window.tokens()))
    np.testing.assert_array_equal(window.memory, alone)


def test_a_short_memory_begins_at_a_random_distance_before_the_segment(text):
    short = _mixture(text, plan=PLAN.__class__(2, 300, 1, 1.0, 0.0))
    whole = _mixture(text, plan=PLAN.__class__(2, 300, 1, 0.0, 0.0))
    pairs = [(short.window(step, 0, 40), whole.window(step, 0, 40)) for step in range(20)]
    assert [a for a, _ in pairs] == [b for _, b in pairs]
    n_equal = sum(np.array_equal(a.window.memory, b.window.memory) for a, b in pairs)
    assert n_equal < 18


def test_a_window_with_too_many_unknown_letters_is_never_drawn(text):
    mixture = _mixture(text, max_unknown=0.0)
    for step in range(40):
        assert mixture.window(step, 0, 40).window.n_unknown(40).item() == 0


def test_segments_of_unknown_letters_are_not_opened(tmp_path):
    contig = {"one": "N" * 3000 + letters(500, 1)}
    store = open_token_store(write_fasta(tmp_path / "n.fa", contig), cache=tmp_path)
    mixture = _mixture(GenomeText(store, store.contigs()))
    for step in range(0, 30, 3):
        assert mixture.window(step, 0, 40).window.interval.end > 3000


def test_a_genome_of_unknown_letters_is_refused(tmp_path):
    store = open_token_store(write_fasta(tmp_path / "n.fa", {"one": "N" * 900}), cache=tmp_path)
    with pytest.raises(InputError, match="most letters of each are N"):
        _mixture(GenomeText(store, store.contigs())).window(0, 0, 40)


def test_the_memory_of_a_segment_has_read_other_genomes_before(text, tmp_path):
    relative = {"other": letters(300, 9) + letters(400, 1)}
    store = open_token_store(write_fasta(tmp_path / "other.fa", relative), cache=tmp_path)
    earlier = GenomeText(store, store.contigs())
    mixture = SegmentMixture(
        {"toy": text}, [1.0], new_memory=_memory, plan=PLAN, reverse_complement_p=0.0,
        max_unknown_fraction=0.1, seed=0, earlier=[earlier],
    )  # fmt: skip
    window = mixture.window(0, 0, 40).window
    after = np.concatenate([earlier.read(0, 700), [UNKNOWN], text.read(0, len(text))])
    features = _memory(3000).read(after.astype(np.uint8))[701:]
    places = [s for s in range(len(text) - 39) if text.interval(s, s + 40, "+") == window.interval]
    np.testing.assert_array_equal(window.memory, features[places[0] : places[0] + 40])


def test_a_window_longer_than_a_segment_is_refused(text):
    with pytest.raises(InputError, match="raise segment_length"):
        _mixture(text).window(0, 0, 301)


def test_features_are_part_of_a_batch(text):
    windows = [_mixture(text).window(0, number, 40).window for number in range(3)]
    batch = as_batch(windows)
    assert batch["memory_features"].shape == (3, 40, RULES.n_features)
    assert "memory_features" not in as_batch([_plain(window) for window in windows])


def _plain(window):
    return window.__class__(window.interval, window.bases)


def test_held_out_windows_remember_known_regions_and_their_contig(store, contigs):
    windows = [Interval("one", 380, 420), Interval("one", 419, 500), Interval("two", 200, 260)]
    known = [Interval("one", 0, 300), Interval("one", 600, 700), Interval("two", 0, 100)]
    found = list(features_of_windows(_memory, store, windows, known))
    one, two = _numbers(contigs["one"]), _numbers(contigs["two"])
    gap = np.array([UNKNOWN], np.uint8)
    before = np.concatenate([one[600:700], gap, two[:100]])
    of_one = _after(before, one[:500])
    np.testing.assert_array_equal(found[0], of_one[380:420])
    np.testing.assert_array_equal(found[1], of_one[419:500])
    before = np.concatenate([one[:300], gap, one[600:700]])
    np.testing.assert_array_equal(found[2], _after(before, two[:260])[200:260])


def _after(before, numbers):
    memory = _memory(2000)
    memory.remember(before)
    memory.remember(np.array([UNKNOWN], np.uint8))
    return memory.read(numbers)


def test_known_regions_that_are_read_once_are_the_same_but_for_gaps(store, contigs):
    """The known regions of the contig itself are gaps of a base that all contigs share."""
    windows = [Interval("one", 380, 420), Interval("one", 419, 500), Interval("two", 200, 260)]
    known = [Interval("one", 0, 300), Interval("one", 600, 700), Interval("two", 0, 100)]

    def after(base, gaps, expected):
        return new_memory(RULES, default_odds(), expected=expected, base=base, gaps=gaps)

    found = list(features_of_windows(_memory, store, windows, known, after=after))
    one, two = _numbers(contigs["one"]), _numbers(contigs["two"])
    gap, no_300, no_100 = (np.full(n, UNKNOWN, np.uint8) for n in (1, 300, 100))
    end = np.full(FRONT - 1, UNKNOWN, np.uint8)
    before = np.concatenate([no_300, gap, one[600:700], gap, two[:100], end])
    of_one = _after(before, one[:500])
    np.testing.assert_array_equal(found[0], of_one[380:420])
    np.testing.assert_array_equal(found[1], of_one[419:500])
    before = np.concatenate([one[:300], gap, one[600:700], gap, no_100, end])
    np.testing.assert_array_equal(found[2], _after(before, two[:260])[200:260])
    apart = list(features_of_windows(_memory, store, windows, known))
    for once, again in zip(found, apart, strict=True):
        np.testing.assert_array_equal(once, again)


def test_windows_that_are_not_sorted_are_refused(store):
    windows = [Interval("one", 400, 450), Interval("one", 100, 150)]
    with pytest.raises(InputError, match="sorted by their start"):
        list(features_of_windows(_memory, store, windows, []))


def test_a_text_is_remembered_in_pieces(text):
    one, other = _memory(2000), _memory(2000)
    remember_text(one, text, 10, 900, "-")
    other.remember(text.read(10, 900, "-"))
    np.testing.assert_array_equal(one.read(text.read(900, 1000, "-")), other.read(text.read(900, 1000, "-")))  # fmt: skip # noqa: E501
