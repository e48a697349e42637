"""Run one system once for each line read from standard input, and print the cost as JSON.

Started by speed.py: worker.py MODE SYSTEM SHAPE LENGTH DEVICE [REFERENCE]
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from systems import N_ROWS, build
from torch import Tensor, nn
from torch.nn import functional

_GIB = 1 << 30


def make_run(mode: str, model: nn.Module, logits_of: Callable, tokens: Tensor) -> Callable:
    """Return the function that is timed: a forward pass or a training step."""
    if mode == "forward":
        model.eval()

        def forward() -> None:
            with torch.inference_mode():
                logits_of(tokens)

        return forward
    optimizer = torch.optim.AdamW(model.train().parameters())

    def step() -> None:
        if hasattr(model, "backbone") and hasattr(model.backbone, "engine"):
            loss = model(tokens, labels=tokens, skip_logits=True).loss
        else:
            logits = logits_of(tokens)[:, :-1, :N_ROWS]
            loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    """Build the system, then run once for each line of standard input."""
    mode, system, shape, length, device, *rest = sys.argv[1:]
    reference = Path(rest[0]) if rest else None
    model, logits_of = build(system, shape, int(length), reference)
    model.to(device)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(7, 11, (1, int(length)), generator=generator).to(device)
    run = make_run(mode, model, logits_of, tokens)
    print(json.dumps({"ready": sum(p.numel() for p in model.parameters())}), flush=True)
    for _ in sys.stdin:
        started, cpu = time.perf_counter(), time.process_time()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        used = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
        print(json.dumps({**used, "peak_gib": peak_gib(device)}), flush=True)


def peak_gib(device: str) -> float:
    """Return the peak memory so far in GiB, of the process or of the device."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / _GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _GIB


if __name__ == "__main__":
    main()
