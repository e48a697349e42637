"""A window is a pure function of seed, step and number; genomes are drawn by weight."""

from collections import Counter

import pytest

from megabase.data.token_store import open_token_store
from megabase.data.training_windows import Mixture, WindowSampler
from tests.toys import letters, write_fasta


@pytest.fixture
def samplers(tmp_path):
    def sampler(name, seed):
        fasta = write_fasta(tmp_path / f"{name}.fa", {"chr": letters(500, seed)})
        store = open_token_store(fasta, cache=tmp_path)
        return WindowSampler(
            store,
            store.contigs(),
            longest=20,
            reverse_complement_p=0.5,
            max_unknown_fraction=0.1,
        )

    return {"yeast": sampler("yeast", 0), "worm": sampler("worm", 1)}


def test_a_window_is_a_pure_function_of_seed_step_and_number(samplers):
    one, other = (Mixture(samplers, [1.0, 1.0], seed=0) for _ in range(2))
    places = [(5, 0), (0, 3), (7, 1), (5, 0)]
    drawn = [one.window(*place, 20) for place in places]
    assert drawn == [other.window(*place, 20) for place in reversed(places)][::-1]
    assert len(set(drawn)) == 3
    assert drawn[0] != Mixture(samplers, [1.0, 1.0], seed=1).window(5, 0, 20)


def test_genomes_are_drawn_by_their_weights(samplers):
    mixture = Mixture(samplers, [3.0, 1.0], seed=0)
    drawn = Counter(mixture.window(step, 0, 20).genome for step in range(2000))
    assert drawn["yeast"] / 2000 == pytest.approx(0.75, abs=0.04)


def test_the_text_of_a_window_is_its_position(samplers):
    window = Mixture({"yeast": samplers["yeast"]}, [1.0], seed=0).window(0, 0, 20)
    assert str(window).startswith("yeast chr:[")
