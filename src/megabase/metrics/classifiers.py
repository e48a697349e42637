"""Probes: simple scikit-learn models of embeddings or counts."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from megabase.errors import InputError
from megabase.metrics.task_metrics import Kind, Labels, Predictions, metrics_of

Setting = Mapping[str, float | int]
Method = Literal["linear", "neighbours", "boosting"]

GRIDS: Mapping[Method, Sequence[Setting]] = {
    "linear": [{"C": c} for c in (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)],
    "neighbours": [{"n_neighbors": k} for k in (50, 20, 10, 5, 1)],
    "boosting": [{"max_iter": n} for n in (30, 100, 300)],
}
"""The settings that each method tries, by scikit-learn's names; in a tie, the first is kept.

C is that of logistic regression, and 1/alpha of ridge regression.
"""

CHOSEN_BY: Mapping[Kind, str] = {
    "binary": "mcc", "multiclass": "mcc", "multilabel": "auroc_median", "regression": "r2",
}  # fmt: skip
"""The metric on validation rows by which a setting is chosen, for each kind of task."""

_MOST_ITERATIONS = 2000  # of logistic regression


class LabelledVectors(NamedTuple):
    """Vectors and their labels, shaped as in `task_metrics.metrics_of`."""

    vectors: Float[np.ndarray, "row channel"]
    labels: Labels


@dataclass(frozen=True)
class Probe:
    """A fitted model.

    Parameters
    ----------
    kind
        Kind of task; see `task_metrics.metrics_of`.
    method
        Kind of model; see `fit_probe`.
    setting
        The chosen setting of the grid.
    validation_score
        Its metric on the validation rows; see `CHOSEN_BY`.
    is_converged
        Whether logistic regression converged; True for other models.
    """

    kind: Kind
    method: Method
    setting: Setting
    validation_score: float
    is_converged: bool
    _predict: Callable[[Float[np.ndarray, "row channel"]], Predictions]

    def predict(self, vectors: Float[np.ndarray, "row channel"]) -> Predictions:
        """Return probabilities or values of vectors, shaped as in `task_metrics.metrics_of`."""
        return self._predict(vectors)


def check_sklearn() -> None:
    """Raise an InputError unless scikit-learn is installed, before long work that needs it."""
    if find_spec("sklearn") is None:
        raise InputError("probes need scikit-learn: pip install 'megabase[sklearn]'")


def fit_probe(
    method: Method,
    kind: Kind,
    train: LabelledVectors,
    validation: LabelledVectors,
    *,
    n_classes: int = 0,
    seed: int,
    grid: Sequence[Setting] | None = None,
) -> Probe:
    """Fit a model to training rows, with the setting that is best on validation rows.

    Channels are standardised to mean 0 and standard deviation 1 of the training rows. The
    chosen model is not refitted to both splits together.

    Parameters
    ----------
    method
        linear: logistic regression, or ridge regression for values. neighbours: the mean of
        the k nearest rows. boosting: gradient boosting of trees on histograms.
    kind
        Kind of task; see `task_metrics.metrics_of`. Each of several labels or targets has its own
        model, with one setting for all. A label that is constant in training is predicted as
        that constant.
    train, validation
        Rows for fitting and for choosing; no result is measured on them later.
    n_classes
        Number of classes of a binary or multiclass task.
    seed
        Seed of boosting.
    grid
        Settings to try; None means `GRIDS`. Settings with more neighbours than training rows
        are skipped.

    Raises
    ------
    InputError
        If scikit-learn is not installed, all training rows are of one class, or the metric is
        undefined on the validation rows because their labels do not vary.
    """
    check_sklearn()
    check_labels(kind, train.labels, validation.labels)
    metric = CHOSEN_BY[kind]
    to_standard = _standard(train.vectors)
    standard = LabelledVectors(to_standard(train.vectors), train.labels)
    held = to_standard(validation.vectors)
    best: Probe | None = None
    for setting in GRIDS[method] if grid is None else grid:
        if setting.get("n_neighbors", 0) > len(train.labels):
            continue
        predict, is_converged = _fit(method, kind, standard, setting, n_classes, seed)
        score = metrics_of(kind, validation.labels, predict(held))[metric]
        if best is None or score > best.validation_score:
            best = Probe(
                kind, method, dict(setting), score, is_converged, _after(to_standard, predict)
            )
    if best is None:
        raise InputError("the grid has no setting that fits these rows; expected at least one")
    return best


def check_labels(
    kind: Kind,
    training: Shaped[np.ndarray, "trained ..."],
    validation: Shaped[np.ndarray, "held ..."],
) -> None:
    """Validate that a classifier has two classes to learn, and that validation labels vary.

    Parameters
    ----------
    kind
        Kind of task; see `task_metrics.metrics_of`.
    training, validation
        Labels of the rows of each split.

    Raises
    ------
    InputError
        If all training rows are of one class, or `CHOSEN_BY` is undefined on the validation rows.
    """
    if kind in ("binary", "multiclass") and len(np.unique(training)) < 2:
        raise InputError("all training rows are of one class; a classifier needs two")
    columns = validation.reshape(len(validation), -1)
    is_varied = (columns != columns[:1]).any(axis=0)
    if not (is_varied.all() if kind == "regression" else is_varied.any()):
        raise InputError(
            f"a setting is chosen by the {CHOSEN_BY[kind]} of the validation rows, which is "
            f"undefined because these {len(validation):,} have equal labels; use more or others"
        )


def neighbour_map(
    vectors: Float[np.ndarray, "row channel"], *, seed: int
) -> Float[np.ndarray, "row 2"]:
    """Map vectors to the plane by t-SNE, so that near vectors stay near.

    Channels are standardised to mean 0 and standard deviation 1. Distances between groups and
    the sizes of groups have little meaning.

    Parameters
    ----------
    vectors
        At least two rows; more than a few thousand take minutes.
    seed
        Seed of the optimisation.

    Raises
    ------
    InputError
        If scikit-learn is not installed, or there are fewer than two rows.

    Notes
    -----
    van der Maaten and Hinton 2008, Journal of Machine Learning Research 9:2579. The perplexity
    is 30, scikit-learn's default, or a third of the number of other rows if these are fewer
    than 90.
    """
    check_sklearn()
    if len(vectors) < 2:
        raise InputError(f"a map needs at least two rows, got {len(vectors)}")
    from sklearn.manifold import TSNE  # noqa: PLC0415 optional dependency

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    mapper: _Model = TSNE(2, perplexity=perplexity, random_state=seed)
    return mapper.fit_transform(_standard(vectors)(vectors))


_Model = Any  # scikit-learn has no types
_Predict = Callable[[Float[np.ndarray, "row channel"]], Predictions]
_ToStandard = Callable[[Float[np.ndarray, "row channel"]], Float[np.ndarray, "row channel"]]


def _after(to_standard: _ToStandard, predict: _Predict) -> _Predict:
    return lambda vectors: predict(to_standard(vectors))


def _standard(vectors: Float[np.ndarray, "row channel"]) -> _ToStandard:
    """Return a function that standardises channels; channels that do not vary become 0."""
    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
    scale = np.where(deviation > 1e-6 * np.abs(mean), deviation, np.inf)
    return lambda other: ((other - mean) / scale).astype(vectors.dtype)


def _fit(
    method: Method,
    kind: Kind,
    train: LabelledVectors,
    setting: Setting,
    n_classes: int,
    seed: int,
) -> tuple[_Predict, bool]:
    """Fit one classifier, or one model for each column of the labels."""
    if kind in ("binary", "multiclass"):
        model = _model(method, is_classifier=True, setting=setting, seed=seed)
        is_converged = _fit_quietly(model, train.vectors, train.labels)
        return lambda vectors: _probabilities(model, vectors, n_classes), is_converged
    labels = train.labels.reshape(len(train.labels), -1)
    models: list[_Model | float] = []
    is_converged = True
    for column in labels.T:
        is_label = kind == "multilabel"
        if is_label and len(np.unique(column)) < 2:
            models.append(float(column[0]))
            continue
        models.append(_model(method, is_classifier=is_label, setting=setting, seed=seed))
        is_converged &= _fit_quietly(models[-1], train.vectors, column)
    shape = train.labels.shape[1:]

    def predict(vectors: Float[np.ndarray, "row channel"]) -> Predictions:
        columns = [_column(model, vectors, kind == "multilabel") for model in models]
        return np.stack(columns, axis=1).reshape(len(vectors), *shape)

    return predict, is_converged


def _column(
    model: _Model, vectors: Float[np.ndarray, "row channel"], is_label: bool
) -> Float[np.ndarray, " row"]:
    if isinstance(model, float):
        return np.full(len(vectors), model)
    found = _probabilities(model, vectors, 2)[:, 1] if is_label else model.predict(vectors)
    return np.asarray(found, dtype=np.float64)


def _probabilities(
    model: _Model, vectors: Float[np.ndarray, "row channel"], n_classes: int
) -> Float[np.ndarray, "row class"]:
    """Return the probability of each class; 0 for classes absent from the training rows."""
    found = np.zeros((len(vectors), n_classes))
    found[:, model.classes_.astype(np.int64)] = model.predict_proba(vectors)
    return found


def _fit_quietly(
    model: _Model, vectors: Float[np.ndarray, "row channel"], labels: Shaped[np.ndarray, " row"]
) -> bool:
    """Fit a model, and return whether it converged."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 optional dependency

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(vectors, labels)
    return not any(issubclass(each.category, ConvergenceWarning) for each in found)


def _model(method: Method, *, is_classifier: bool, setting: Setting, seed: int) -> _Model:
    """Return an unfitted scikit-learn model."""
    from sklearn import ensemble, linear_model, neighbors  # noqa: PLC0415 optional dependency

    makers: Mapping[Method, tuple[Callable[..., _Model], Callable[..., _Model]]] = {
        "linear": (linear_model.LogisticRegression, linear_model.Ridge),
        "neighbours": (neighbors.KNeighborsClassifier, neighbors.KNeighborsRegressor),
        "boosting": (
            ensemble.HistGradientBoostingClassifier,
            ensemble.HistGradientBoostingRegressor,
        ),
    }
    arguments: dict[str, Any] = dict(setting)
    if method == "boosting":
        arguments |= {"early_stopping": False, "random_state": seed}
    elif method == "linear" and is_classifier:
        arguments["max_iter"] = _MOST_ITERATIONS
    elif method == "linear":
        arguments = {"alpha": 1 / setting["C"]}
    return makers[method][0 if is_classifier else 1](**arguments)
