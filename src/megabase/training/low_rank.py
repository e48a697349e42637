r"""Low-rank adapters beside the projections and MLP matrices: the door of peft.

.. math:: W' = W + \frac{\alpha}{r} B A
   :label: low-rank

W stays; A (r, in) is drawn at random and B (out, r) starts at 0.

Source: Hu et al. 2021, "LoRA", arXiv:2106.09685v2, section 4.1.
"""

import warnings
from pathlib import Path
from typing import Any, cast

from megabase.model.headed import HyenaDNAWithHead
from megabase.run.environment import check_peft

TARGETS = ("in_proj", "out_proj", "fc1", "fc2")
"""The linear maps of a block that are adapted; the filters' network stays as it is."""

ADAPTER = "adapter"
"""The folder, within a model's, that holds the adapter by itself in peft's format."""

WRAPPED = "modules_to_save.default."
"""What peft puts into the names of the head's parameters while it trains with an adapter."""


class LowRank:
    """Puts adapters into a model, in place, and its head beside them, which trains whole.

    From now on only adapters and head take gradients.

    Parameters
    ----------
    model
        Its linear maps are wrapped, until `merge`.
    rank, alpha
        r and α of Eq. low-rank.
    dropout
        Chance that a channel of what A sees is dropped in training.

    Raises
    ------
    InputError
        If peft is not installed.
    """

    def __init__(self, model: HyenaDNAWithHead, *, rank: int, alpha: float, dropout: float) -> None:
        check_peft()
        import peft  # noqa: PLC0415 an extra, imported at its door

        settings = peft.LoraConfig(
            r=rank,
            lora_alpha=cast("int", alpha),  # it only divides by the rank
            lora_dropout=dropout,
            target_modules=list(TARGETS),
            modules_to_save=["head"],
        )
        with warnings.catch_warnings():
            # peft asks by a name that transformers gives up
            warnings.filterwarnings("ignore", ".is_gradient_checkpointing", FutureWarning)
            self._adapted: Any = peft.get_peft_model(cast("Any", model), settings)

    def save(self, folder: Path) -> None:
        """Write adapters and head by themselves, as `peft.PeftModel.from_pretrained` reads them."""
        self._adapted.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink()  # a form that nobody has filled in

    def merge(self) -> None:
        """Add the adapters to the weights, and leave a model as it was before, of one piece."""
        self._adapted.merge_and_unload()
