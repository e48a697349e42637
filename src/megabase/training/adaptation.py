r"""Which parameters of a pretrained model are trained: all, head, low-rank adapters, prompt.

Add low-rank adapters to the projections and MLP matrices, using peft.

.. math:: W' = W + \frac{\alpha}{r} B A
   :label: low-rank

W is frozen; A (r, in) is initialised at random, and B (out, r) with zeros.

Source: Hu et al. 2021, "LoRA", arXiv:2106.09685v2, section 4.1.
"""

import warnings
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from megabase.model.architecture import HEAD_PREFIX, PROMPT_PREFIX
from megabase.model.classification import HyenaDNAWithHead
from megabase.model.heads import SequenceModel
from megabase.model.load import Classifier
from megabase.runtime.environment import check_peft

TARGETS = ("in_proj", "out_proj", "fc1", "fc2")
"""The linear maps of a block that are adapted; the network of the filters stays frozen."""

MEMORY_TARGETS = tuple(
    f"memory.{name}" for name in ("from_hidden", "from_features", "inner", "out", "skip")
)
"""The linear maps that are adapted of the network next to the last hidden state, Eq. memory-mixer,
in a model with a memory."""

ADAPTER = "adapter"
"""The subfolder of a model folder that holds the adapter alone, in peft's format."""

WRAPPED = "modules_to_save.default."
"""The part that peft inserts into the names of the head's parameters during training."""


class LowRank:
    """Low-rank adapters of a model, inserted in place.

    Only the adapters and the whole head are trained; all other parameters are frozen.

    Parameters
    ----------
    model
        The model; its linear maps are wrapped until `merge`.
    rank, alpha
        r and α of Eq. low-rank.
    dropout
        Dropout probability of the input channels of A in training.

    Raises
    ------
    InputError
        If peft is not installed.
    """

    def __init__(self, model: HyenaDNAWithHead, *, rank: int, alpha: float, dropout: float) -> None:
        check_peft()
        import peft  # noqa: PLC0415 an optional dependency

        settings = peft.LoraConfig(
            r=rank,
            lora_alpha=cast("int", alpha),  # peft only divides it by the rank: a float will do
            lora_dropout=dropout,
            target_modules=[*TARGETS, *(MEMORY_TARGETS if model.config.has_memory else ())],
            modules_to_save=["head"],
        )
        with warnings.catch_warnings():
            # peft reads an attribute that transformers has deprecated.
            warnings.filterwarnings("ignore", ".is_gradient_checkpointing", FutureWarning)
            self._adapted: Any = peft.get_peft_model(cast("Any", model), settings)

    def save(self, folder: Path) -> None:
        """Write adapters and head alone, in the format of `peft.PeftModel.from_pretrained`."""
        self._adapted.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink()  # an empty template of a model card

    def merge(self) -> None:
        """Add the adapters to the weights, and remove the wrappers from the model."""
        self._adapted.merge_and_unload()


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
