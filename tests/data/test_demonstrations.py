"""Demonstrations are drawn by seed, evenly, and never show what is asked."""

import pytest

from megabase.data.demonstrations import DemonstrationPool
from megabase.genome.few_shot_prompt import Shot
from megabase.genome.vocabulary import DNA_VOCABULARY
from tests import toys


def encode(text):
    return DNA_VOCABULARY.encode(text).tokens


ROWS = [Shot(encode(toys.letters(12, seed=number)), number % 3) for number in range(30)]
CLASSES = ("a", "b", "c")


def drawn(n, *, queries=(), rows=ROWS, names=CLASSES, **options):
    return DemonstrationPool(rows, names, queries).draw(n, **{"seed": (0,)} | options)


def texts(shots):
    return [(DNA_VOCABULARY.decode(shot.sequence), shot.label) for shot in shots]


def test_each_round_has_each_class_once_and_rounds_differ_in_order():
    labels = [shot.label for shot in drawn(8)]
    rounds = [tuple(labels[start : start + 3]) for start in range(0, 24, 3)]
    assert all(sorted(each) == [0, 1, 2] for each in rounds)
    assert len(set(rounds)) > 1


def test_a_seed_gives_one_draw_and_another_seed_another():
    assert texts(drawn(4)) == texts(drawn(4))
    assert texts(drawn(4)) != texts(drawn(4, seed=(1,)))
    assert drawn(0) == []


def test_a_query_is_never_shown_on_either_strand(caplog):
    caplog.set_level("INFO", logger="megabase")
    turned = DNA_VOCABULARY.reverse_complement(ROWS[3].sequence)
    pool = DemonstrationPool(ROWS, CLASSES, [ROWS[0].sequence, turned])
    assert pool.n_left_out == 2
    assert "2 of 30 training rows equal a query" in caplog.text
    shown = texts(pool.draw(8, seed=(0,)))
    assert len(shown) == 24
    assert not {text for text, _ in shown} & {text for text, _ in texts([ROWS[0], ROWS[3]])}
    with pytest.raises(ValueError, match=r"class a has 8 different training rows .* the 9 to draw"):
        pool.draw(9, seed=(0,))


def test_no_row_is_shown_twice_or_to_itself():
    turned = DNA_VOCABULARY.reverse_complement(encode("AAAC"))
    rows = [Shot(encode("AAAC"), 0), Shot(turned, 0), Shot(encode("CCA"), 0)]
    assert len(drawn(2, rows=rows, names=("a",))) == 2
    with pytest.raises(ValueError, match="class a has 2 different"):
        drawn(3, rows=rows, names=("a",))
    assert texts(drawn(1, rows=rows, names=("a",), beside=turned)) == [("CCA", 0)]
