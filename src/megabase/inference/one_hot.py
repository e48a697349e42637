"""The model as a torch module that reads one-hot letters and is differentiable in its input."""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.likelihood import base_log_probabilities
from megabase.model.language import LanguageModel

READOUTS = ("log_likelihood", "log_likelihoods", "embedding")
"""Outputs: log-likelihood of the sequence, of each base, or the mean of the hidden states."""


class OneHotModel(nn.Module):
    r"""A model for one-hot letters, the input of tangermeme and other attribution tools.

    The model reads the one-hot columns v of a sequence as :math:`v W` with its embedding W. A
    column of zeros is N; if a column sums to less than 1, the rest is read as that much N. The
    output is differentiable in v everywhere. The log-likelihood is linear in v as a prediction
    target: a column that mixes bases gets the same mixture of their log-likelihoods.

    Parameters
    ----------
    model
        A causal language model in evaluation mode; it is shared, not copied.
    readout
        One of `READOUTS`. ``log_likelihood``: of the sequence in nats, (batch, 1).
        ``log_likelihoods``: of each base in nats, (batch, length), 0 at N. ``embedding``: the
        mean of the last hidden states over all positions, N included, (batch, d_model).

    Raises
    ------
    InputError
        If the readout is unknown.
    """

    def __init__(self, model: LanguageModel, readout: str = "log_likelihood") -> None:
        if readout not in READOUTS:
            raise InputError(f"the readout must be one of {', '.join(READOUTS)}; got {readout!r}")
        super().__init__()
        self.model = model
        self.readout = readout
        self.train(model.training)  # tools save this mode and restore it for all submodules

    def forward(self, one_hot: Num[Tensor, "batch row length"]) -> Float[Tensor, "batch output"]:
        """Compute the readout, one row for each sequence.

        Parameters
        ----------
        one_hot
            Rows A, C, G, T; integers are converted to floats.

        Raises
        ------
        InputError
            If there are not four rows, or the sequences are longer than the model reads.
        """
        if one_hot.shape[1] != len(DNA_VOCABULARY.base_ids):
            raise InputError(
                "expected one-hot letters (batch, 4, length) with the rows A C G T; got "
                f"{tuple(one_hot.shape)}"
            )
        weight = self.model.backbone.embedding.weight
        letters = one_hot.to(weight.dtype).transpose(1, 2)
        embedded = self._embed(letters)
        if self.readout == "embedding":
            return self.model.last_states(embedded).mean(dim=1)
        logits = self.model.logits(inputs_embeds=embedded)
        # Logits after token t predict token t + 1; equal logits give the first base 1/4.
        before = torch.cat([torch.zeros_like(logits[:, :1]), logits[:, :-1]], dim=1)
        values = (letters * base_log_probabilities(before)).sum(dim=-1)
        return values.sum(dim=1, keepdim=True) if self.readout == "log_likelihood" else values

    def _embed(
        self, letters: Float[Tensor, "batch length row"]
    ) -> Float[Tensor, "batch length d_model"]:
        """Mix the embeddings of the bases, and that of N with the rest to a sum of 1."""
        weight = self.model.backbone.embedding.weight
        bases = weight[list(DNA_VOCABULARY.base_ids)]
        lacking = 1.0 - letters.sum(dim=-1, keepdim=True)
        return letters @ bases + lacking * weight[DNA_VOCABULARY.unknown_id]
