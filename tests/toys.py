"""Tiny genomes and models for tests."""

import numpy as np
import torch

from megabase.model.config import HyenaDNAConfig
from megabase.model.modeling import HyenaDNAForCausalLM


def letters(length, seed=0):
    """Return random letters A, C, G, T."""
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), size=length))


def write_fasta(path, contigs, width=60):
    """Write contigs (header to letters) as FASTA with lines of `width`; return the path."""
    lines = []
    for header, sequence in contigs.items():
        lines.append(f">{header}")
        lines += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    path.write_text("\n".join(lines) + "\n")
    return path


SCALE_FREE = {"filter_family": "scale-free", "emb_dim": 9, "n_near_taps": 5}
"""Configuration keys of our scale-free filter, which replaces the published one."""

MEMORY = {
    "memory_orders": [1, 3, 8], "pointer_orders": [8, 11], "memory_width": 12,
    "pointer_agreement": 12,
}  # fmt: skip
"""Configuration keys of a memory of counts and pointers."""


def config(**keys):
    """Return a configuration of 8 channels, 2 blocks and a context of 64 tokens."""
    return HyenaDNAConfig(**({"d_model": 8, "n_layer": 2, "max_seq_len": 66} | keys))


def model(seed=0, **keys):
    """Return a model with noise added to all weights, so that each affects the output."""
    torch.manual_seed(seed)
    toy = HyenaDNAForCausalLM(config(**keys)).eval()
    with torch.no_grad():
        for parameter in toy.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return toy


def repeated_tokens(batch, length, seed=0):
    """Return random tokens of A, C, G, T whose every 60 repeat those before, with an N."""
    segments = torch.randint(7, 11, (batch, 60), generator=torch.Generator().manual_seed(seed))
    whole = segments.repeat(1, -(-length // 60))[:, :length]
    whole[:, 100:101] = 11
    return whole


def repeats(length, seed=0):
    """Return letters in which a part of a random sequence comes again, on either strand."""
    part = letters(max(1, length // 4), seed)
    turned = part[::-1].translate(str.maketrans("ACGT", "TGCA"))
    between = letters(max(1, length // 8), seed + 1)
    return (part + between + part + turned + letters(length, seed + 2))[:length]


def tokens(batch, length, seed=0):
    """Return random tokens of A, C, G, T, N (ids 7 to 11), of shape (batch, length)."""
    return torch.randint(7, 12, (batch, length), generator=torch.Generator().manual_seed(seed))
