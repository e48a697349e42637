"""Estimate the least time of a forward pass on this machine, and our share of it.

python benchmarks/limits.py --shape 8x256 --lengths 8192 32768 1000000 --measured speed.json

The least time per token is the sum of

    24 d_model² n_layer operations at the best rate of a matrix product
    + 2 FFTs (spectra of the filters kept) or 3 (not kept) per channel and layer, at the best
      rate of the library's real FFT at this length
    + the unavoidable memory traffic at the bandwidth of a copy: in each layer the residual
      stream and the mixed channels are written and read, 4 numbers per channel.

The strict limit uses the faster of the library's FFT and our split FFT.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from systems import SHAPES

from megabase.model.config import HyenaDNAConfig
from megabase.ops.fft import SplitTransform, Transform
from megabase.ops.streamed_plan import plan_streamed
from megabase.runtime.environment import stamp

_TIMES = 7
_COPY_BYTES = 1 << 30


def fastest(work: Callable[[], object], times: int = _TIMES) -> float:
    """Return the least of several times, in seconds, after one warm-up run."""
    work()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def matmul_rate(d_model: int) -> float:
    """Return the operations per second of the fastest of three matrix products."""
    rates = []
    for rows, inner, columns in ((2048, d_model, 4 * d_model), (2048, 4 * d_model, d_model),
                                 (2048, 2048, 2048)):  # fmt: skip
        a, b, out = (
            torch.randn(rows, inner),
            torch.randn(inner, columns),
            torch.empty(rows, columns),
        )
        seconds = fastest(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), 20)
        rates.append(2 * rows * inner * columns / seconds)
    return max(rates)


def copy_rate() -> float:
    """Return bytes per second, read plus written, of a copy larger than any cache."""
    source = torch.zeros(_COPY_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * _COPY_BYTES / fastest(lambda: target.copy_(source))


def fft_seconds(transform: Transform, n_most: int = 64) -> float:
    """Return seconds per channel of one forward or inverse transform, over the best batch size."""
    best = float("inf")
    n_channels = 1
    while n_channels <= n_most and n_channels * transform.n * 4 <= 1 << 26:
        x = torch.randn(n_channels, transform.n_in)
        spectra = transform.forward(x)
        out = transform.spectra_buffer(n_channels)
        forward = fastest(lambda x=x, out=out: transform.forward(x, out), 3)
        back = fastest(lambda spectra=spectra: transform.inverse(spectra), 3)
        best = min(best, (forward + back) / 2 / n_channels)
        n_channels *= 2
    return best


def limits_of(shape: str, length: int, products: float, copies: float) -> dict[str, float]:
    """Return the least seconds of one sequence, by the library's FFT and by the faster FFT."""
    n_layer, d_model = SHAPES[shape]
    config = HyenaDNAConfig(n_layer=n_layer, d_model=d_model, max_seq_len=length + 2)
    n_ffts = 2 if plan_streamed(config, length).keep_spectra else 3
    library = fft_seconds(Transform(length))
    best = min(library, fft_seconds(SplitTransform(length, torch.empty(0))))
    token = 24 * d_model**2 * n_layer / products + 4 * 4 * d_model * n_layer / copies
    return {
        "length": length,
        "n_ffts": n_ffts,
        "library_fft_seconds": library,
        "best_fft_seconds": best,
        "limit_seconds": token * length + n_ffts * d_model * n_layer * library,
        "strict_limit_seconds": token * length + n_ffts * d_model * n_layer * best,
    }


def read_measured(files: list[Path]) -> dict[int, float]:
    """Return our seconds by length from files of speed.py."""
    rows = [
        row for file in files for row in json.loads(file.read_text(encoding="utf-8"))["results"]
    ]
    return {row["length"]: row["seconds"] for row in rows if row["system"] == "megabase"}


def main() -> None:
    """Print the limits, and the share of them that the measured times reach."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=tuple(SHAPES), default="8x256")
    parser.add_argument("--lengths", type=int, nargs="+", default=[8192, 32_768, 1_000_000])
    parser.add_argument("--measured", type=Path, nargs="*", default=[])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    about = stamp()
    products, copies = matmul_rate(SHAPES[arguments.shape][1]), copy_rate()
    print(f"{about['machine']}; {about['versions']}")
    print(f"products {products / 1e9:,.0f} G/s; copy {copies / 1e9:.1f} GB/s (read and written)")
    columns = ("FFT ns", "best", "limit s", "strict", "ours", "share", "strict")
    print(f"{'length':>9}" + "".join(f"{column:>8}" for column in columns))
    measured, rows = read_measured(arguments.measured), []
    for length in arguments.lengths:
        row = limits_of(arguments.shape, length, products, copies)
        limit, strict = row["limit_seconds"], row["strict_limit_seconds"]
        tail = ""
        if length in measured:
            row["measured_seconds"] = seconds = measured[length]
            tail = f"{seconds:>8.2f}{limit / seconds:>8.0%}{strict / seconds:>8.0%}"
        per_token = [1e9 * row[f"{which}_fft_seconds"] / length for which in ("library", "best")]
        fft = f"{per_token[0]:>8.2f}{per_token[1]:>8.2f}"
        print(f"{length:>9,}{fft}{limit:>8.2f}{strict:>8.2f}{tail}", flush=True)
        rows.append(row)
    if arguments.output:
        result = {**about, "shape": arguments.shape, "products_per_second": products,
                  "copied_bytes_per_second": copies, "results": rows}  # fmt: skip
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
