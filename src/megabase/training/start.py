"""The model that a seed starts from: its configuration, its head, and what is loaded or drawn."""

import copy

from transformers import set_seed

from megabase.data.labels import Labels
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import ONE_CLASS, REGRESSION
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.training.adaptation import freeze
from megabase.training.config import AdaptConfig
from megabase.training.labelled import LABEL, LabelledData


def set_labels(shape: HyenaDNAConfig, labels: Labels) -> None:
    """Say in a configuration what the model answers: names, problem type, unit of the targets."""
    names = labels.classes or (LABEL,)
    shape.id2label = dict(enumerate(names))
    shape.label2id = {name: number for number, name in enumerate(names)}
    shape.problem_type = REGRESSION if labels.is_regression else ONE_CLASS
    if labels.is_regression:
        shape.target_mean, shape.target_scale = [labels.mean], [labels.scale]


def classifier_config(
    config: AdaptConfig, data: LabelledData, language: HyenaDNAForCausalLM | None
) -> HyenaDNAConfig:
    """Give the configuration of a model with its head.

    Parameters
    ----------
    config, data
        Of the run.
    language
        Whose size it has; None: that of the preset.
    """
    if language is None:
        shape = HyenaDNAConfig.from_preset(config.preset or "tiny", data.context_length)
    else:
        shape = copy.deepcopy(language.config)
    set_labels(shape, data.labels)
    shape.pooling, shape.head_dropout = config.pooling, config.head_dropout
    if config.embed_dropout is not None:
        shape.embed_dropout = config.embed_dropout
    return shape


def starting_model(
    config: AdaptConfig,
    data: LabelledData,
    language: HyenaDNAForCausalLM | None,
    *,
    seed: int,
    is_fresh: bool = False,
) -> HyenaDNAForSequenceClassification:
    """Make the model that a seed starts from: the head is drawn, and what is not loaded.

    Parameters
    ----------
    config, data, language
        As of `classifier_config`.
    seed
        Of what is drawn; the head is the same whether the rest is loaded or not.
    is_fresh
        Whether `language` gives its size only, and every weight is drawn.
    """
    set_seed(seed)
    model = HyenaDNAForSequenceClassification(classifier_config(config, data, language))
    if language is not None and not is_fresh:
        model.backbone.load_state_dict(language.backbone.state_dict())
    freeze(model, config.adapt)
    return model
