"""What of a pretrained model moves: everything, or the head alone."""

from typing import cast

from torch import Tensor

from megabase.model.headed import HyenaDNAWithHead
from megabase.model.heads import PREFIX, SequenceModel


def freeze(model: HyenaDNAWithHead, adapt: str) -> None:
    """Let gradients reach only what moves: ``"full"``, all weights, or ``"head"``."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(adapt == "full" or name.startswith(PREFIX))


def set_training(model: SequenceModel, adapt: str) -> None:
    """Put what moves into training mode; what is frozen drops nothing out."""
    model.train()
    if adapt == "head":
        cast("HyenaDNAWithHead", model).backbone.eval()


def moving(model: SequenceModel) -> dict[str, Tensor]:
    """Give a copy of the weights that move, by name, in the computer's memory."""
    return {
        name: parameter.detach().cpu().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
