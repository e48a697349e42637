"""The convolutional network that stands beside every fine-tuned result, trained as that was."""

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
from megabase.model.heads import (
    ANY_LABELS,
    ONE_CLASS,
    REGRESSION,
    AnswersEachToken,
    SequenceHead,
    TokenHead,
    pool,
)
from megabase.run.environment import LIBRARIES_BYTES
from megabase.run.log import Meter
from megabase.training.checkpoint import Checkpoints
from megabase.training.config import AdaptConfig
from megabase.training.fit import fit
from megabase.training.labelled import LabelledData
from megabase.training.plan import memory_budget
from megabase.training.start import set_labels

LEARNING_RATE = 1e-3
"""Peak of the network's learning rate, whatever that of the model beside it is."""

RETRY_SHARE = 0.3
"""Of the learning rate, at which a baseline that collapsed is trained once more."""

_CHANNELS = 128
_SPREAD = (1, 4, 16)  # bases between the taps of each kernel, where each base is answered
_LAYERS = ((11, 4), (5, 2), (5, 2))  # bases or positions of a kernel, and of a max pool after it
_BYTES_PER_BASE = 8192  # planned for training; a forward pass keeps 2,912


class ConvolutionalNetwork(nn.Module):
    """Three convolutions over one-hot bases, pooled over the whole sequence, and two dense layers.

    Each convolution (128 channels; kernels of 11, 5 and 5) is followed by a layer norm over
    channels, ReLU and a max pool (of 4, 2 and 2); maximum and mean over what is left go through
    a dense layer with dropout to the answer: 203,778 parameters for two classes, at any length.
    N is no base: zeros, as beyond the ends. Padding on the right never changes an answer.

    Parameters
    ----------
    config
        Of its head, a `SequenceHead` on `d_model` channels: what is answered, in which unit,
        and `head_dropout`.

    Raises
    ------
    InputError
        If what is answered is not of whole sequences.

    Source
    ------
    In the place of the network of GenomicBenchmarks (Grešová et al. 2023,
    doi:10.1186/s12863-023-01123-8): convolutions of 16, 8 and 4 filters with batch norm and
    pooling, and two dense layers, for sequences of one length. Batch norm, and dense layers
    over positions, would see padding; widths and kernels are our own.
    """

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        if config.problem_type not in (None, ONE_CLASS, ANY_LABELS, REGRESSION):
            raise InputError(
                "the convolutional baseline answers classes, labels or values of whole sequences; "
                f"this problem is {config.problem_type}"
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
        """Give the logits (batch, label) of each sequence, or its values in their own unit.

        Parameters
        ----------
        input_ids
            Tokens.
        attention_mask
            False, or 0, where a token is padding, which stands on the right.
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
        """Convolve and pool; a position is real that has seen a real one below it."""
        hidden = _one_hot(input_ids, mask)
        for convolve, norm, (_, n) in zip(self.convolutions, self.norms, _LAYERS, strict=True):
            z = norm(convolve(hidden.mT).mT)
            hidden = functional.relu(z) * mask[..., None]  # never below 0, the value of padding
            hidden = functional.max_pool1d(hidden.mT, n, ceil_mode=True).mT
            mask = functional.max_pool1d(mask[:, None].float(), n, ceil_mode=True)[:, 0].bool()
        return hidden, mask


class ConvolutionalTagger(nn.Module, AnswersEachToken):
    """The same convolutions with their taps spread, 1, 4 and 16 bases apart, and no pooling.

    It answers each base, of which it sees 45 to either side: 187,394 parameters for two classes.

    Parameters
    ----------
    config
        Of its head, a `TokenHead` on `d_model` channels.
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
        """Give the logits (batch, length, label) of each base, or its value in its own unit."""
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
    """Give the run of the network beside that of a model: the same but for what starts and moves.

    It starts from scratch, all of it moves, and it has a learning rate of its own; rows, batches,
    epochs, patience, class weights and strands are those of the model.
    """
    own: dict[str, Any] = {
        "model": None, "preset": None, "context_length": None, "adapt": "full",
        "learning_rate": learning_rate,
    }  # fmt: skip
    return config.model_copy(update=own)


def make_cnn(
    config: AdaptConfig, labels: Labels, *, seed: int
) -> ConvolutionalNetwork | ConvolutionalTagger:
    """Draw the network that a seed starts from."""
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
        The run of the model that it stands beside, of which `cnn_config` takes what is shared.
    data
        What is learnt and chosen on; of the test rows nothing is used.
    seed
        Of the starting weights, and of the order of rows and the strands they are read from.
    checkpoints
        Where the training is saved, as of `fit`.
    meter
        Counts epochs.
    learning_rate
        Its peak.

    Returns
    -------
    network, record
        The network in evaluation mode, for `inference.predict.predictions`; and ``seed``,
        ``n_parameters``, ``best_epoch``, ``epochs`` and ``validation`` as in `metrics.json`.

    Raises
    ------
    InputError
        If one row of the longest length does not fit the memory.
    WorkError
        If the loss becomes no number.
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
    """Give how many rows of a step fit the memory; refuse where one does not."""
    each = longest * _BYTES_PER_BASE
    fit = int((memory_budget(config) - LIBRARIES_BYTES) // each)
    if fit < 1:
        raise InputError(
            f"the convolutional baseline needs about {(each + LIBRARIES_BYTES) / 2**30:.1f} GiB "
            f"for {longest:,} bases, and may take {memory_budget(config) / 2**30:.1f} "
            "(memory_gib); take shorter sequences or more memory"
        )
    return min(fit, config.batch_size)
