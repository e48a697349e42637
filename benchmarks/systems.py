"""Build the systems that are compared, all of one size: tokens in, logits out."""

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MambaConfig, MambaForCausalLM

from megabase.model.config import HyenaDNAConfig
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.ops.backends import Engine

N_TOKENS, N_ROWS = 12, 16  # of the vocabulary; rows of the embedding, padded to a multiple of 8
SHAPES = {"2x128": (2, 128), "4x256": (4, 256), "8x256": (8, 256)}
ENGINES = {
    "megabase": Engine(),
    "megabase-bfloat16": Engine(matmul_dtype=torch.bfloat16),
    "megabase-plain": Engine("plain"),
    "megabase-checkpointing": Engine(),
    "megabase-preset": Engine(),
}
PRESETS = {"2x128": "tiny", "4x256": "small", "8x256": "large"}  # for `megabase-preset`
SYSTEMS = (*ENGINES, "reference", "transformer", "mamba")

System = tuple[nn.Module, Callable[[Tensor], Tensor]]
"""A module, and a function from tokens (batch, length) to logits."""


def build(system: str, shape: str, length: int, reference: Path | None) -> System:
    """Build a system with weights drawn from seed 0.

    Parameters
    ----------
    system
        One of `SYSTEMS`.
    shape
        One of `SHAPES`.
    length
        The context length in tokens.
    reference
        A clone of the original repository, needed by the system `reference`.

    Raises
    ------
    SystemExit
        If the reference is requested without a clone.
    """
    torch.manual_seed(0)
    n_layer, d_model = SHAPES[shape]
    if system in ENGINES:
        return _megabase(system, shape, length)
    if system == "reference":
        if reference is None:
            raise SystemExit(
                "the system reference needs --reference CLONE, a clone of its repository"
            )
        return _reference(reference, n_layer, d_model, length)
    if system == "transformer":
        model = Transformer(n_layer, d_model)
        return model, model
    config = MambaConfig(
        vocab_size=N_ROWS, hidden_size=d_model, num_hidden_layers=2 * n_layer, use_cache=False
    )
    mamba = MambaForCausalLM(config)
    return mamba, lambda tokens: mamba(tokens).logits


def _megabase(system: str, shape: str, length: int) -> System:
    """Build our model, with the published filter or with the preset of that shape."""
    n_layer, d_model = SHAPES[shape]
    if system == "megabase-preset":
        config = HyenaDNAConfig.from_preset(PRESETS[shape], length)
    else:
        config = HyenaDNAConfig(n_layer=n_layer, d_model=d_model, max_seq_len=length + 2)
    model = HyenaDNAForCausalLM(config)
    model.backbone.engine = ENGINES[system]
    model.backbone.gradient_checkpointing = system == "megabase-checkpointing"
    return model, lambda tokens: model(tokens).logits


def _reference(folder: Path, n_layer: int, d_model: int, length: int) -> System:
    """Build the model of standalone_hyenadna.py; its head is the transposed embedding."""
    model = _standalone(folder).HyenaDNAModel(
        d_model=d_model, n_layer=n_layer, d_inner=4 * d_model, vocab_size=N_TOKENS,
        pad_vocab_size_multiple=8, resid_dropout=0.0, embed_dropout=0.1, residual_in_fp32=True,
        fused_mlp=False, fused_dropout_add_ln=False, checkpoint_mixer=False, checkpoint_mlp=False,
        layer={"_name_": "hyena", "emb_dim": 5, "filter_order": 64, "local_order": 3,
               "l_max": length + 2, "modulate": True, "w": 10, "lr": 6e-4, "wd": 0.0,
               "lr_pos_emb": 0.0},
    )  # fmt: skip
    head = model.backbone.embeddings.word_embeddings.weight
    return model, lambda tokens: model(tokens) @ head.T


def _standalone(folder: Path) -> types.ModuleType:
    """Import standalone_hyenadna.py, with stubs for imports that are not used here."""

    class Identity(nn.Module):
        """Stub of stochastic depth with probability 0."""

        def __init__(self, p: float, mode: str) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x

    operators = types.ModuleType("torchvision.ops")
    operators.StochasticDepth = Identity  # pyright: ignore[reportAttributeAccessIssue]
    sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))
    sys.modules.setdefault("torchvision.ops", operators)
    tokenization = types.ModuleType("transformers.tokenization_utils")
    tokenization.AddedToken = object  # pyright: ignore[reportAttributeAccessIssue]
    tokenization.PreTrainedTokenizer = object  # pyright: ignore[reportAttributeAccessIssue]
    sys.modules["transformers.tokenization_utils"] = tokenization
    spec = importlib.util.spec_from_file_location("standalone", folder / "standalone_hyenadna.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{folder} has no standalone_hyenadna.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Transformer(nn.Module):
    """A decoder with rotary positions and `scaled_dot_product_attention`, heads of 64 channels."""

    def __init__(self, n_layer: int, d_model: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(N_ROWS, d_model)
        self.blocks = nn.ModuleList(_TransformerBlock(d_model) for _ in range(n_layer))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (batch, length, rows of the embedding)."""
        angles = _angles(tokens.shape[1], tokens.device)
        r = self.embedding(tokens)
        for block in self.blocks:
            r = block(r, angles)
        return functional.linear(self.norm(r), self.embedding.weight)


class _TransformerBlock(nn.Module):
    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.n_heads = d_model // 64
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.fc1, self.fc2 = nn.Linear(d_model, 4 * d_model), nn.Linear(4 * d_model, d_model)

    def forward(self, r: Tensor, angles: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(r)).unflatten(-1, (3, self.n_heads, 64)).unbind(2)
        q, k = _rotated(q, angles), _rotated(k, angles)
        y = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True
        )
        r = r + self.out(y.transpose(1, 2).flatten(2))
        return r + self.fc2(functional.gelu(self.fc1(self.norm2(r)), approximate="tanh"))


def _angles(length: int, device: torch.device) -> Tensor:
    frequencies = 10_000.0 ** (-torch.arange(0, 64, 2, device=device) / 64)
    return torch.arange(length, device=device)[:, None, None] * frequencies


def _rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Apply rotary positions: rotate pairs of channels (Su et al., arXiv:2104.09864)."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
