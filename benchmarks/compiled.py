"""Time the work between matrix products, by torch and compiled, in turn on the same numbers.

python benchmarks/compiled.py --output compiled.json

Timed are the steps of a layer on a tile of tokens, the mixing of channels including the transforms
of its filters, and mixing with its gradient. Prints medians in milliseconds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from megabase.ops.backends import gated_conv_by, mixer_for, steps_for, why_not_compiled
from megabase.ops.gated_conv import split_streams
from megabase.ops.short_conv import ShortFilter, without_edge
from megabase.ops.steps import Steps
from megabase.runtime.environment import stamp

_TOKENS, _D_MODEL, _EPS = 1024, 256, 1e-5
_MIXED = ((256, 1024), (256, 8192), (256, 32_768), (64, 131_072), (32, 1_000_000))
_WITH_GRADIENT = ((128, 1024), (128, 8192), (256, 8192), (256, 32_768))

Work = Callable[[Steps], object]


def steps_of_a_tile() -> dict[str, Work]:
    """Return the steps of a layer, each on its own random numbers."""
    tile, inner = torch.randn(_TOKENS, _D_MODEL), torch.randn(_TOKENS, 4 * _D_MODEL)
    bias, inner_bias = torch.randn(_D_MODEL), torch.zeros(4 * _D_MODEL)
    scale, mean, normed = torch.rand(_TOKENS, 1), torch.zeros(_TOKENS, 1), torch.empty_like(tile)
    return {
        "read": lambda steps: steps.read(tile, scale, bias),
        "norm": lambda steps: steps.norm(tile, _EPS),
        "gelu of a copy": lambda steps: steps.gelu(inner.clone(), inner_bias),
        "write of a copy": lambda steps: steps.write(
            tile.clone(), bias, _EPS, normed=normed, scale=scale, mean=mean
        ),
    }


def draw(n_channels: int, length: int) -> tuple[torch.Tensor, ShortFilter, torch.Tensor]:
    """Return random streams, their short filter and a long filter."""
    streams = torch.randn(1, 3 * n_channels, length)
    short = without_edge(torch.randn(3 * n_channels, 3), torch.randn(3 * n_channels))
    return streams, short, torch.randn(n_channels, length)


def mixing(n_channels: int, length: int) -> Work:
    """Return the mixing of `n_channels` channels, whose filters are given as taps."""
    streams, short, taps = draw(n_channels, length)
    out = torch.empty(1, n_channels, length)

    def mix(steps: Steps) -> None:
        mixer = mixer_for(steps, out, n_channels, n_filters=1, dtype=torch.float32)
        for rows in mixer.chunks(n_channels):
            mixer.mix(split_streams(streams, short, rows), None, taps[rows], out=out[:, rows])

    return mix


def with_gradient(n_channels: int, length: int) -> Work:
    """Return the mixing of `n_channels` channels with all its gradients."""
    streams, short, taps = draw(n_channels, length)
    skip, weight = torch.randn(n_channels), torch.randn(1, n_channels, length)
    inputs = [t.requires_grad_() for t in (streams, short.taps, short.bias, taps, skip)]

    def step(steps: Steps) -> object:
        answer = gated_conv_by(steps, streams, short, taps, skip)
        return torch.autograd.grad(answer, inputs, weight)

    return step


def times(work: Work, implementations: dict[str, Steps], runs: int) -> dict[str, float]:
    """Return medians in milliseconds; the first run warms up and does not count."""
    taken: dict[str, list[float]] = {name: [] for name in implementations}
    for _ in range(runs + 1):
        for name, steps in implementations.items():
            started = time.perf_counter()
            work(steps)
            taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def main() -> None:
    """Print a table and write the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if why_not := why_not_compiled():
        raise SystemExit(f"compiled steps are not available: {why_not}")
    implementations = {"torch": Steps(), "compiled": steps_for(torch.empty(0))}
    about, rows = stamp(), []
    print(f"{about['machine']}; {about['versions']}")
    works = [(name, work) for name, work in steps_of_a_tile().items()]
    for title, kind, sizes in (
        ("mixing", mixing, _MIXED),
        ("gradient", with_gradient, _WITH_GRADIENT),
    ):
        works += [(f"{title}, {c} x {n:,}", kind(c, n)) for c, n in sizes]
    for name, work in works:
        taken = times(work, implementations, arguments.runs)
        print(f"{name:<26}" + "".join(f"{value:>10.2f}" for value in taken.values()), flush=True)
        rows.append({"work": name, **taken})
    if arguments.output:
        result = {**about, "runs": arguments.runs, "milliseconds": rows}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
