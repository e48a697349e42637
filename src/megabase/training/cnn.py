"""The convolutional baseline of fine-tuned models, trained in the same way."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import set_seed
from transformers.modeling_outputs import SequenceClassifierOutput, TokenClassifierOutput

from megabase.data.labels import Labels
from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import LIBRARIES_BYTES
from megabase.model.heads import (
    ANY_LABELS,
    ONE_CLASS,
    REGRESSION,
    PredictsEachToken,
    SequenceHead,
    TokenHead,
    pool,
)
from megabase.runtime.log import Meter
from megabase.training.checkpoint import Checkpoints
from megabase.training.fit import fit, set_labels
from megabase.training.labelled import LabelledData
from megabase.training.memory_plan import memory_budget
from megabase.training.run_config import AdaptConfig

LEARNING_RATE = 1e-3
"""Peak learning rate of the baseline, independent of that of the model."""

RETRY_SHARE = 0.3
"""Fraction of the learning rate at which a collapsed baseline is trained once more."""

_CHANNELS = 128
_SPREAD = (1, 4, 16)  # dilation of each convolution of the tagger
_LAYERS = ((11, 4), (5, 2), (5, 2))  # width of each kernel, and of the max pool after it
_BYTES_PER_BASE = 8192  # reserved for training; a forward pass keeps 2,912


class ConvolutionalNetwork(nn.Module):
    """Three convolutions over one-hot bases, pooled over the whole sequence, and two dense layers.

    Each convolution (128 channels; kernels of 11, 5 and 5) is followed by a layer norm over
    channels, ReLU and a max pool (of 4, 2 and 2). The maximum and the mean over the remaining
    positions pass through a dense layer and, with dropout, the head: 203,778 parameters for
    two classes, at any length. N is encoded as zeros, like positions beyond the ends. Padding
    on the right never changes the output.

    Parameters
    ----------
    config
        Configuration of the head, a `SequenceHead` on `d_model` channels: number, kind and unit
        of the outputs, and `head_dropout`.

    Raises
    ------
    InputError
        If the outputs are not labels of whole sequences.

    Source
    ------
    Modelled on the network of GenomicBenchmarks (Grešová et al. 2023,
    doi:10.1186/s12863-023-01123-8): convolutions of 16, 8 and 4 filters with batch norm and
    pooling, and two dense layers, for sequences of one length. Batch norm and dense layers over
    positions would depend on padding and are replaced; widths and kernels are our own.
    """

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        if config.problem_type not in (None, ONE_CLASS, ANY_LABELS, REGRESSION):
            raise InputError(
                "the convolutional baseline predicts classes, labels or values of whole sequences; "
                f"got problem_type {config.problem_type}"
            )
        self.config = config
        self.convolutions = _convolutions([1 for _ in _LAYERS])
        self.norms = nn.ModuleList(nn.LayerNorm(_CHANNELS) for _ in _LAYERS)
        self.fc1 = nn.Linear(2 * _CHANNELS, config.d_model)
        self.head = SequenceHead(config)

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Return the logits (batch, label) of each sequence, or its values in their own unit.

        Parameters
        ----------
        input_ids
            Tokens.
        attention_mask
            False, or 0, where a token is padding; padding must be on the right.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        hidden, mask = self._positions(input_ids, attention_mask.bool())
        pooled = torch.cat([pool(hidden, mask, way) for way in ("max", "mean")], dim=1)
        dense = functional.relu(self.fc1(pooled))
        return SequenceClassifierOutput(logits=self.head(dense[:, None]))

    def _positions(
        self, input_ids: Int[Tensor, "batch length"], mask: Bool[Tensor, "batch length"]
    ) -> tuple[Float[Tensor, "batch position channel"], Bool[Tensor, "batch position"]]:
        """Convolve and pool; a pooled position is valid if it covers at least one real token."""
        hidden = _one_hot(input_ids, mask)
        for convolve, norm, (_, n) in zip(self.convolutions, self.norms, _LAYERS, strict=True):
            z = norm(convolve(hidden.mT).mT)
            hidden = functional.relu(z) * mask[..., None]  # never below 0, the value of padding
            hidden = functional.max_pool1d(hidden.mT, n, ceil_mode=True).mT
            mask = functional.max_pool1d(mask[:, None].float(), n, ceil_mode=True)[:, 0].bool()
        return hidden, mask


class ConvolutionalTagger(nn.Module, PredictsEachToken):
    """The same convolutions with dilations of 1, 4 and 16 and without pooling.

    It predicts a label for each base from 45 bases on either side: 187,394 parameters for two
    classes.

    Parameters
    ----------
    config
        Configuration of the head, a `TokenHead` on `d_model` channels.
    """

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        self.config = config
        self.convolutions = _convolutions(_SPREAD)
        self.norms = nn.ModuleList(nn.LayerNorm(_CHANNELS) for _ in _LAYERS)
        self.fc1 = nn.Linear(_CHANNELS, config.d_model)
        self.head = TokenHead(config)

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Tensor | None = None,
    ) -> TokenClassifierOutput:
        """Return the logits (batch, length, label) of each base, or its value in its own unit.

        Parameters
        ----------
        input_ids
            Tokens.
        attention_mask
            False, or 0, where a token is padding; padding must be on the right.
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        hidden = _one_hot(input_ids, mask.bool())
        for convolve, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = functional.relu(norm(convolve(hidden.mT).mT)) * mask[..., None]
        return TokenClassifierOutput(logits=self.head(functional.relu(self.fc1(hidden))))


def _convolutions(spread: Sequence[int]) -> nn.ModuleList:
    widths = [len(DNA_VOCABULARY.base_ids), *(_CHANNELS for _ in _LAYERS)]
    return nn.ModuleList(
        nn.Conv1d(before, after, kernel, padding=kernel // 2 * apart, dilation=apart)
        for before, after, (kernel, _), apart in zip(
            widths, widths[1:], _LAYERS, spread, strict=False
        )
    )


def _one_hot(
    input_ids: Int[Tensor, "batch length"], mask: Bool[Tensor, "batch length"]
) -> Float[Tensor, "batch length base"]:
    bases = input_ids.new_tensor(DNA_VOCABULARY.base_ids)
    return ((input_ids[..., None] == bases) & mask[..., None]).float()


def cnn_config(config: AdaptConfig, learning_rate: float = LEARNING_RATE) -> AdaptConfig:
    """Return the configuration of the baseline for the run of a model.

    The baseline is trained from scratch, as a whole, and with its own learning rate; rows,
    batches, epochs, patience, class weights and strands are those of the model.

    Parameters
    ----------
    config
        The configuration of the model's run.
    learning_rate
        Peak learning rate of the baseline.
    """
    own: dict[str, Any] = {
        "model": None, "preset": None, "context_length": None, "adapt": "full",
        "learning_rate": learning_rate,
    }  # fmt: skip
    return config.model_copy(update=own)


def make_cnn(
    config: AdaptConfig, labels: Labels, *, seed: int
) -> ConvolutionalNetwork | ConvolutionalTagger:
    """Return the randomly initialised network of a seed: a tagger for labels of bases."""
    shape = HyenaDNAConfig(d_model=_CHANNELS, head_dropout=config.head_dropout)
    set_labels(shape, labels)
    set_seed(seed)
    return ConvolutionalTagger(shape) if labels.per_base else ConvolutionalNetwork(shape)


def fit_cnn(
    config: AdaptConfig,
    data: LabelledData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    meter: Meter,
    learning_rate: float = LEARNING_RATE,
) -> tuple[ConvolutionalNetwork | ConvolutionalTagger, dict[str, Any]]:
    """Train the network from one seed as `adapt` trains a model, to its best epoch on validation.

    Parameters
    ----------
    config
        The configuration of the run of the model, from which `cnn_config` derives its own.
    data
        The training and validation splits; the test split is not used.
    seed
        Seed of the initial weights, the order of rows and the strands they are read from.
    checkpoints
        Where the state of the training is saved after each epoch and within it.
    meter
        Counts epochs.
    learning_rate
        Peak learning rate.

    Returns
    -------
    network, record
        The network in evaluation mode, for `inference.predictions.predictions`; and ``seed``,
        ``n_parameters``, ``best_epoch``, ``epochs`` and ``validation`` as in `metrics.json`.

    Raises
    ------
    InputError
        If one row of the longest length does not fit in memory.
    WorkError
        If the loss becomes NaN or infinite.
    """
    own = cnn_config(config, learning_rate)
    at_once = _rows_at_once(own, data.longest)
    network = make_cnn(own, data.labels, seed=seed)
    trainer = fit(
        network, own, data, seed=seed, checkpoints=checkpoints, meter=meter, rows_per_pass=at_once
    )
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    return network, {"seed": seed, "n_parameters": n_parameters, **trainer.record()}


def _rows_at_once(config: AdaptConfig, longest: int) -> int:
    """Return how many rows of a step fit in memory; raise an InputError if not even one does."""
    each = longest * _BYTES_PER_BASE
    fit = int((memory_budget(config) - LIBRARIES_BYTES) // each)
    if fit < 1:
        raise InputError(
            f"the convolutional baseline needs about {(each + LIBRARIES_BYTES) / 2**30:.1f} GiB "
            f"for {longest:,} bases, and may use {memory_budget(config) / 2**30:.1f} GiB "
            "(memory_gib); use shorter sequences or raise memory_gib"
        )
    return min(fit, config.batch_size)
