"""What of a pretrained model moves: all, the head, low-rank adapters, or a soft prompt."""

from typing import cast

from torch import Tensor

from megabase.model.architecture import HEAD_PREFIX, PROMPT_PREFIX
from megabase.model.heads import SequenceModel
from megabase.model.load import Classifier


def freeze(model: Classifier, adapt: str) -> None:
    """Let gradients reach only what moves: ``"full"``, all weights, or else head or prompt."""
    for name, parameter in model.named_parameters():
        is_new = name.startswith((HEAD_PREFIX, PROMPT_PREFIX))
        parameter.requires_grad_(adapt == "full" or is_new)


def set_training(model: SequenceModel, adapt: str) -> None:
    """Put what moves into training mode; what is frozen drops nothing out."""
    model.train()
    if adapt == "head":
        cast("Classifier", model).backbone.eval()
    elif adapt == "prompt":  # the blocks have no dropout, and are recomputed in training only
        cast("Classifier", model).backbone.dropout.eval()


def moving(model: SequenceModel) -> dict[str, Tensor]:
    """Give a copy of the weights that move, by name, in the computer's memory."""
    return {
        name: parameter.detach().cpu().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
