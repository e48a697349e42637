"""A step is made of windows of the training regions, however many processes share it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.data.token_store import open_token_store
from megabase.data.training_windows import (
    Mixture,
    Share,
    StepWindows,
    WindowSampler,
    plan_lengths,
    spread_windows,
)
from megabase.genome.interval import Interval
from megabase.genome.split import merge
from tests.toys import letters, write_fasta

LONGEST, N_STEPS = 16, 12


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genomes")
    genomes = {
        "yeast": {"chrI": letters(120) + "N" * 30 + letters(50).lower(), "chrII": letters(60, 1)},
        "worm": {"chrI": letters(90, 2), "chrX": "N" * 20 + letters(70, 3)},
    }
    return {
        name: open_token_store(write_fasta(folder / f"{name}.fa", contigs), cache=folder)
        for name, contigs in genomes.items()
    }


def draw_regions(data, store):
    """Return disjoint regions of a genome, of which the first holds the longest window."""
    contig = next(iter(store.lengths))
    start = data.draw(st.integers(0, 60))
    regions = [Interval(contig, start, start + data.draw(st.integers(LONGEST, 30)))]
    for contig, length in store.lengths.items():
        for _ in range(data.draw(st.integers(0, 2))):
            start = data.draw(st.integers(0, length - 1))
            regions.append(Interval(contig, start, data.draw(st.integers(start + 1, length))))
    return merge(regions)


def draw_run(data, stores):
    """Return the regions of each genome, and a function from a share to the run's data set."""
    regions = {name: draw_regions(data, store) for name, store in stores.items()}
    seed, p = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.floats(0, 1))
    weights = data.draw(st.lists(st.floats(0.1, 10), min_size=2, max_size=2))
    schedule = plan_lengths(
        n_steps=N_STEPS,
        context_length=LONGEST,
        tokens_per_step=data.draw(st.integers(1, 9)) * LONGEST,
        start_length=data.draw(st.sampled_from([None, 3, 8])),
        constant_tokens=data.draw(st.booleans()),
    )

    def read(process=0, n_processes=1):
        samplers = {
            name: WindowSampler(
                store, regions[name],
                longest=LONGEST, reverse_complement_p=p, max_unknown_fraction=0.5,
            )
            for name, store in stores.items()
        }  # fmt: skip
        mixture = Mixture(samplers, weights, seed=seed)
        share = Share(process, n_processes)
        return StepWindows(mixture, schedule, share=share, soft_mask_weight=0.5)

    return regions, schedule, read


@given(n_windows=st.integers(0, 60), n_processes=st.integers(1, 9))
def test_shares_are_disjoint_and_together_all(n_windows, n_processes):
    shares = [Share(process, n_processes) for process in range(n_processes)]
    parts = [share.of(range(n_windows)) for share in shares]
    assert sorted(number for part in parts for number in part) == list(range(n_windows))
    assert {share.largest(n_windows) for share in shares} == {max(map(len, parts))}


@settings(deadline=None)
@given(data=st.data())
def test_the_processes_of_a_step_read_disjoint_windows_that_do_not_depend_on_their_number(
    stores, data
):
    _, schedule, read = draw_run(data, stores)
    fewest = min(stage.n_windows for stage in schedule.stages)
    n_processes = data.draw(st.integers(1, fewest))
    step = data.draw(st.integers(0, N_STEPS - 1))
    whole, batch = read().windows(step), read()[step]
    parts = [read(process, n_processes) for process in range(n_processes)]
    assert len(whole) == sum(len(part.windows(step)) for part in parts) > 0
    for process, part in enumerate(parts):
        # Window j of a process is window `process + j * n_processes` of the step: no other has it.
        assert part.windows(step) == whole[process::n_processes]
        for key, tensor in part[step].items():
            assert torch.equal(tensor, batch[key][process::n_processes])


@settings(deadline=None)
@given(data=st.data())
def test_a_run_resumes_at_any_step(stores, data):
    _, schedule, read = draw_run(data, stores)
    n_processes = data.draw(st.integers(1, min(stage.n_windows for stage in schedule.stages)))
    share = (data.draw(st.integers(0, n_processes - 1)), n_processes)
    from_start = read(*share)
    steps = [from_start[step] for step in range(len(from_start))]
    first = data.draw(st.integers(0, N_STEPS - 1))
    resumed = read(*share)
    for step in range(first, N_STEPS):
        batch = resumed[step]
        assert batch.keys() == steps[step].keys() == {"input_ids", "labels", "loss_weights"}
        assert all(torch.equal(batch[key], steps[step][key]) for key in batch)


@settings(deadline=None)
@given(data=st.data())
def test_a_window_lies_in_one_training_region_and_is_the_bases_of_its_place(stores, data):
    regions, schedule, read = draw_run(data, stores)
    steps = read()
    for step in range(N_STEPS):
        length, batch = schedule.at(step).length, steps[step]
        for row, (genome, window) in enumerate(steps.windows(step)):
            place = window.interval
            assert len(place) == length
            assert any(
                region.contig == place.contig
                and region.start <= place.start < place.end <= region.end
                for region in regions[genome]
            )
            tokens = batch["input_ids"][row].numpy()
            np.testing.assert_array_equal(tokens, stores[genome].fetch(place))
            assert (tokens == 11).sum() <= 0.5 * length


@settings(deadline=None)
@given(data=st.data())
def test_held_out_windows_are_evenly_spaced_ones_of_those_that_qualify(stores, data):
    store = stores["yeast"]
    regions = draw_regions(data, store)
    length, n = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 50))
    most = data.draw(st.integers(0, length))
    found = spread_windows(store, regions, length=length, n=n, max_unknown=most)
    every = [window for region in regions for window in region.windows(length)]
    qualify = [
        window
        for window in every
        if len(window) == length and (store.fetch(window) == 11).sum() <= most
    ]
    n = min(n, len(qualify))
    assert [window.interval for window in found] == [
        qualify[number * len(qualify) // n] for number in range(n)
    ]
    for window in found:
        np.testing.assert_array_equal(window.tokens(), store.fetch(window.interval))
