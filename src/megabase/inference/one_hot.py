"""The model for tools that speak one-hot letters: a torch module with gradients to its input."""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.likelihood import base_log_probabilities
from megabase.model.language import LanguageModel

READOUTS = ("log_likelihood", "log_likelihoods", "embedding")
"""What an answer is: of the sequence, of each base, or the mean of the hidden states."""


class OneHotModel(nn.Module):
    r"""Answers for one-hot letters, as tangermeme and other tools for attribution give them.

    With the one-hot columns v of a sequence the model reads :math:`v W` for its embedding W; a
    column of zeros is N, and what a column lacks of 1 is read as so much N. The answer is
    differentiable in v everywhere. The log-likelihood is linear in v as what is predicted:
    a column that is a mixture of bases gets the mixture of their log-likelihoods.

    Parameters
    ----------
    model
        A causal language model in evaluation mode; it is shared, not copied.
    readout
        One of `READOUTS`. ``log_likelihood``: of the sequence in nats, as `log_likelihoods`
        sums to, (batch, 1). ``log_likelihoods``: of each base, (batch, length), 0 where
        `log_likelihoods` has NaN, which is at N. ``embedding``: the mean of the last hidden
        states over all positions, N too, (batch, d_model).

    Raises
    ------
    InputError
        If there is no such readout.
    """

    def __init__(self, model: LanguageModel, readout: str = "log_likelihood") -> None:
        if readout not in READOUTS:
            raise InputError(f"a readout is one of {', '.join(READOUTS)}; got {readout!r}")
        super().__init__()
        self.model = model
        self.readout = readout
        self.train(model.training)  # tools restore the mode that they find, of all parts

    def forward(self, one_hot: Num[Tensor, "batch row length"]) -> Float[Tensor, "batch output"]:
        """Give one row of answers for each sequence.

        Parameters
        ----------
        one_hot
            Rows A, C, G, T; integers are read as floats.

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
        before = torch.cat([torch.zeros_like(logits[:, :1]), logits[:, :-1]], dim=1)
        values = (letters * base_log_probabilities(before)).sum(dim=-1)
        return values.sum(dim=1, keepdim=True) if self.readout == "log_likelihood" else values

    def _embed(
        self, letters: Float[Tensor, "batch length row"]
    ) -> Float[Tensor, "batch length d_model"]:
        """Mix the embeddings of the bases, and that of N with what is lacking."""
        weight = self.model.backbone.embedding.weight
        bases = weight[list(DNA_VOCABULARY.base_ids)]
        lacking = 1.0 - letters.sum(dim=-1, keepdim=True)
        return letters @ bases + lacking * weight[DNA_VOCABULARY.unknown_id]
