r"""Add low-rank adapters to the projections and MLP matrices, using peft.

.. math:: W' = W + \frac{\alpha}{r} B A
   :label: low-rank

W is frozen; A (r, in) is initialised at random, and B (out, r) with zeros.

Source: Hu et al. 2021, "LoRA", arXiv:2106.09685v2, section 4.1.
"""

import warnings
from pathlib import Path
from typing import Any, cast

from megabase.model.headed import HyenaDNAWithHead
from megabase.run.environment import check_peft

TARGETS = ("in_proj", "out_proj", "fc1", "fc2")
"""The linear maps of a block that are adapted; the network of the filters stays frozen."""

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
            target_modules=list(TARGETS),
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
