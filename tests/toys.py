"""A tiny genome and a tiny model."""

import numpy as np
import torch

from megabase.model.config import HyenaDNAConfig
from megabase.model.modeling import HyenaDNAForCausalLM


def letters(length, seed=0):
    """Random A C G T."""
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), size=length))


def write_fasta(path, contigs, width=60):
    """Write contigs, a mapping of header to letters, as FASTA lines of `width`."""
    lines = []
    for header, sequence in contigs.items():
        lines.append(f">{header}")
        lines += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    path.write_text("\n".join(lines) + "\n")
    return path


SCALE_FREE = {"filter_family": "scale-free", "emb_dim": 9, "n_near_taps": 5}
"""Keys of our filter, in place of the published one."""


def config(**keys):
    """Give a model of 8 channels and 2 blocks that reads 64 tokens."""
    return HyenaDNAConfig(**({"d_model": 8, "n_layer": 2, "max_seq_len": 66} | keys))


def model(seed=0, **keys):
    """Give a model whose every weight matters: all are drawn anew at a larger scale."""
    torch.manual_seed(seed)
    toy = HyenaDNAForCausalLM(config(**keys)).eval()
    with torch.no_grad():
        for parameter in toy.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return toy


def tokens(batch, length, seed=0):
    """Random tokens of A C G T N."""
    return torch.randint(7, 12, (batch, length), generator=torch.Generator().manual_seed(seed))
