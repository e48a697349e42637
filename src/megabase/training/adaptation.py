"""What of a pretrained model moves: all, the head, low-rank adapters, or a soft prompt."""

from typing import cast

from torch import Tensor

from megabase.data.labels import Labels
from megabase.errors import InputError
from megabase.genome.answer import answer_letters
from megabase.model import heads, prompted
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.config import HyenaDNAConfig
from megabase.model.fingerprint import Classifier
from megabase.model.heads import SequenceModel
from megabase.model.load import weights_sha256
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.prompted import HyenaDNAForPromptedClassification
from megabase.model.token_classification import HyenaDNAForTokenClassification
from megabase.training.config import AdaptConfig
from megabase.training.low_rank import LowRank


def add_prompt(shape: HyenaDNAConfig, config: AdaptConfig, labels: Labels) -> None:
    """Write into a model's configuration what a soft prompt is, if there is to be one.

    Raises
    ------
    InputError
        If the labels are values, several of a row, or of bases, or classes of another number
        than from 2 to 5.
    """
    if config.adapt != "prompt":
        return
    others = {
        "values": labels.is_regression,
        "several of a row": labels.is_multilabel,
        "of bases": labels.per_base,
    }
    if found := [what for what, is_so in others.items() if is_so]:
        raise InputError(
            "after a prompt a model answers with one letter for each sequence, and these labels "
            f"are {', '.join(found)}; take adapt full, head or lora"
        )
    shape.n_prompt_tokens, shape.prompt_dropout = config.n_prompt_tokens, config.prompt_dropout
    shape.answer_letters = answer_letters(len(labels.classes))


def starting_model(
    shape: HyenaDNAConfig,
    language: HyenaDNAForCausalLM | None,
    config: AdaptConfig,
    *,
    per_base: bool = False,
) -> tuple[Classifier, LowRank | None]:
    """Make a model with a new head or prompt; what moves takes gradients, and nothing else.

    Parameters
    ----------
    shape
        Of the model.
    language
        Whose weights are copied; None: all are drawn.
    config
        Says what moves.
    per_base
        Whether each base is answered.

    Returns
    -------
    model, adapters
        Of the adapters of low rank there are none unless they are what moves.
    """
    if config.adapt == "prompt" and language is not None:
        model = HyenaDNAForPromptedClassification.from_language_model(language, shape)
        model.config.base_sha256 = weights_sha256(language)
        freeze(model, config.adapt)
        return model, None
    model = (HyenaDNAForTokenClassification if per_base else HyenaDNAForSequenceClassification)(
        shape
    )
    if language is not None:
        model.backbone.load_state_dict(language.backbone.state_dict())
    if config.adapt != "lora":
        freeze(model, config.adapt)
        return model, None
    adapters = LowRank(
        model, rank=config.lora_rank, alpha=config.lora_alpha, dropout=config.lora_dropout
    )
    return model, adapters


def freeze(model: Classifier, adapt: str) -> None:
    """Let gradients reach only what moves: ``"full"``, all weights, or else head or prompt."""
    for name, parameter in model.named_parameters():
        is_new = name.startswith((heads.PREFIX, prompted.PREFIX))
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
