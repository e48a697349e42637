"""Build the model that a seed starts from, with its head or prompt."""

import copy

from transformers import set_seed

from megabase.data.labels import LABEL, Labels
from megabase.errors import InputError
from megabase.genome.answer import answer_letters
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import ANY_LABELS, ONE_CLASS, REGRESSION
from megabase.model.load import Classifier
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.prompted import HyenaDNAForPromptedClassification
from megabase.model.token_classification import HyenaDNAForTokenClassification
from megabase.model.weights import weights_sha256
from megabase.training.adaptation import freeze
from megabase.training.config import DEFAULT_PRESET, AdaptConfig
from megabase.training.labelled import LabelledData
from megabase.training.low_rank import LowRank


def set_labels(shape: HyenaDNAConfig, labels: Labels) -> None:
    """Write names, problem type and unit of the labels into a model's configuration."""
    names = labels.classes or (LABEL,)
    shape.id2label = dict(enumerate(names))
    shape.label2id = {name: number for number, name in enumerate(names)}
    some = ANY_LABELS if labels.is_multilabel else ONE_CLASS
    shape.problem_type = REGRESSION if labels.is_regression else some
    if labels.is_regression:
        shape.target_mean, shape.target_scale = [labels.mean], [labels.scale]


def classifier_config(
    config: AdaptConfig, data: LabelledData, language: HyenaDNAForCausalLM | None
) -> HyenaDNAConfig:
    """Return the configuration of a model with its head or prompt.

    Parameters
    ----------
    config
        The configuration of the run.
    data
        The data of the run.
    language
        The model that is adapted; None: a model of the preset's size.

    Raises
    ------
    InputError
        If a soft prompt cannot predict these labels.
    """
    if language is None:
        shape = HyenaDNAConfig.from_preset(config.preset or DEFAULT_PRESET, data.context_length)
    else:
        shape = copy.deepcopy(language.config)
    set_labels(shape, data.labels)
    shape.pooling, shape.head_dropout = config.pooling, config.head_dropout
    if config.embed_dropout is not None:
        shape.embed_dropout = config.embed_dropout
    add_prompt(shape, config, data.labels)
    return shape


def add_prompt(shape: HyenaDNAConfig, config: AdaptConfig, labels: Labels) -> None:
    """Write the soft prompt into a model's configuration, if the run adapts by a prompt.

    Raises
    ------
    InputError
        If the labels are values, multilabel, of bases, or not 2 to 5 classes.
    """
    if config.adapt != "prompt":
        return
    others = {
        "values": labels.is_regression,
        "several per row": labels.is_multilabel,
        "of bases": labels.per_base,
    }
    if found := [what for what, is_so in others.items() if is_so]:
        raise InputError(
            "a model with a prompt predicts one letter for each sequence, and these labels are "
            f"{', '.join(found)}; use adapt=full, head or lora"
        )
    shape.n_prompt_tokens, shape.prompt_dropout = config.n_prompt_tokens, config.prompt_dropout
    shape.answer_letters = answer_letters(len(labels.classes))


def starting_model(
    config: AdaptConfig,
    data: LabelledData,
    language: HyenaDNAForCausalLM | None,
    *,
    seed: int,
    is_fresh: bool = False,
) -> tuple[Classifier, LowRank | None]:
    """Build the model that a seed starts from; only the parameters to train require gradients.

    Parameters
    ----------
    config
        The configuration of the run.
    data
        The data of the run.
    language
        The model that is adapted; None: a new model of the preset's size.
    seed
        Seed of all weights that are not loaded. Head and prompt depend only on the seed, not on
        whether the rest is loaded.
    is_fresh
        Whether only the size of `language` is used, and every weight is initialised at random.

    Returns
    -------
    model, adapters
        The model, and its low-rank adapters; None unless `config.adapt` is ``"lora"``.

    Raises
    ------
    InputError
        If a soft prompt cannot predict these labels.
    """
    set_seed(seed)
    shape = classifier_config(config, data, language)
    loaded = None if is_fresh else language
    if config.adapt == "prompt" and loaded is not None:
        model = HyenaDNAForPromptedClassification.from_language_model(loaded, shape)
        model.config.base_sha256 = weights_sha256(loaded)
        freeze(model, config.adapt)
        return model, None
    of_bases, of_rows = HyenaDNAForTokenClassification, HyenaDNAForSequenceClassification
    model = (of_bases if data.labels.per_base else of_rows)(shape)
    if loaded is not None:
        model.backbone.load_state_dict(loaded.backbone.state_dict())
    if config.adapt != "lora":
        freeze(model, config.adapt)
        return model, None
    adapters = LowRank(
        model, rank=config.lora_rank, alpha=config.lora_alpha, dropout=config.lora_dropout
    )
    return model, adapters
