"""Choose the parameters to train: all, the head, low-rank adapters, or a soft prompt."""

from typing import cast

from torch import Tensor

from megabase.model.architecture import HEAD_PREFIX, PROMPT_PREFIX
from megabase.model.heads import SequenceModel
from megabase.model.load import Classifier


def freeze(model: Classifier, adapt: str) -> None:
    """Freeze all parameters but those to train: all for ``"full"``, otherwise head or prompt."""
    for name, parameter in model.named_parameters():
        is_new = name.startswith((HEAD_PREFIX, PROMPT_PREFIX))
        parameter.requires_grad_(adapt == "full" or is_new)


def set_training(model: SequenceModel, adapt: str) -> None:
    """Put the model into training mode, but without dropout in the frozen part."""
    model.train()
    if adapt == "head":
        cast("Classifier", model).backbone.eval()
    elif adapt == "prompt":  # the blocks have no dropout, and are recomputed in training only
        cast("Classifier", model).backbone.dropout.eval()


def moving(model: SequenceModel) -> dict[str, Tensor]:
    """Return a copy of the trainable weights, by name, on the CPU."""
    return {
        name: parameter.detach().cpu().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
