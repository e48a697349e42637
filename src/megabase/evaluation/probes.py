"""Probes of a frozen model: simple models fitted to embeddings of a task's rows, and a map."""

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from megabase.data.labelled_dataset import Examples
from megabase.errors import InputError, counted
from megabase.evaluation.tasks.task import Task
from megabase.inference.choices import strands_of
from megabase.inference.hidden import embed
from megabase.inference.plan import choose_device, plan_inference
from megabase.inference.windows import windows
from megabase.metrics.classifiers import (
    CHOSEN_BY,
    LabelledVectors,
    Method,
    check_sklearn,
    fit_probe,
    neighbour_map,
)
from megabase.metrics.task_metrics import Predictions
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.report.figures import figure_class, new_figure, plot_map, save_figure
from megabase.runtime.cells import Cell, Cells
from megabase.runtime.log import progress
from megabase.training.labelled import LabelledData
from megabase.training.run_config import AdaptConfig

_log = logging.getLogger(__name__)

PROBES: Mapping[str, Method] = {
    "frozen, linear": "linear",
    "frozen, neighbours": "neighbours",
    "frozen, trees": "boosting",
}
"""The methods of `metrics.classifiers`, by their names in tables."""

EMBEDDINGS, MAP = "embeddings.npy", "tsne.png"
MOST_POINTS = 2000
"""Maximum number of rows on a map; from more, a random sample is drawn."""

_WITH_CLASSES = ("binary", "multiclass")

Vectors = Float32[np.ndarray, "row channel"]


def check_probes(tasks: Sequence[Task], *, has_model: bool, is_asked: bool) -> None:
    """Check, before any work, that the requested probes are possible.

    Parameters
    ----------
    tasks
        The tasks to evaluate.
    has_model
        Whether a pretrained model was given.
    is_asked
        Whether probes were requested.

    Raises
    ------
    InputError
        If there is no model to embed with, a task has labels per base, a package is missing,
        or a task that only probes can measure was given without requesting them.
    """
    if not is_asked:
        if names := [task.name for task in tasks if task.chunks]:
            raise InputError(
                f"the rows of {names[0]} are read in chunks, which only frozen embeddings support; "
                "pass --probes and --model"
            )
        return
    if not has_model:
        raise InputError(
            "probes are fitted to the embeddings of a pretrained model; pass --model, or remove "
            "--probes"
        )
    if names := [task.name for task in tasks if task.kind == "per_base"]:
        raise InputError(
            f"{names[0]} has a label for each base, but a probe sees one vector for a whole "
            "sequence; remove --probes"
        )
    check_sklearn()
    if any(task.kind in _WITH_CLASSES for task in tasks):
        figure_class()


class Probed(NamedTuple):
    """Predictions of the test rows by a probe, and the settings chosen on validation rows."""

    answers: Predictions
    settings: dict[str, Any]


class _Map(NamedTuple):
    """Points of rows on a plane, their labels, and whether each is a test row."""

    points: Float[np.ndarray, "row 2"]
    labels: Int[np.ndarray, " row"]
    is_test: Bool[np.ndarray, " row"]


class Frozen:
    """The embeddings of a task's rows by a frozen model, and the probes fitted to them.

    The embedding of a row is the mean of the last hidden states over its positions, on the
    strands that `settings` chooses. A row that is longer than the context is read in chunks of
    the context length; the last chunk ends with the row, and each position counts once. The
    embeddings are computed once and stored in the folder.

    Parameters
    ----------
    name
        Name of the task.
    language
        The model; it is copied and remains unmodified.
    settings
        Device, strand and seed.
    data
        Training and validation rows.
    test
        Test rows.
    folder
        Folder for `EMBEDDINGS`, the vectors of training, validation and test rows in this order
        (validation rows are left out if they are the test rows), and for `MAP`.
    chunks
        Whether rows may be longer than the context.
    """

    def __init__(
        self,
        name: str,
        language: HyenaDNAForCausalLM,
        settings: AdaptConfig,
        data: LabelledData,
        test: Examples,
        folder: Path,
        *,
        chunks: bool,
    ) -> None:
        self._name = name
        self._language = language
        self._settings = settings
        self._data = data
        self._test = test
        self._folder = folder
        self._stride = language.config.context_length if chunks else None

    def fit(self, name: str) -> Probed:
        """Fit one of `PROBES` to training rows, choose its settings on validation, and predict.

        Parameters
        ----------
        name
            A key of `PROBES`.
        """
        data, vectors, n = self._data, self._vectors, len(self._data.training)
        # Works without separate validation vectors, too: the test vectors then follow training.
        held = vectors[n : n + len(data.validation)]
        probe = fit_probe(
            PROBES[name],
            data.kind,
            LabelledVectors(vectors[:n], data.training.targets()),
            LabelledVectors(held, data.validation.targets()),
            n_classes=len(data.labels.classes),
            seed=self._settings.seed,
        )
        if not probe.is_converged:
            _log.warning("%s, %s: the fit did not converge", self._name, name)
        chosen = f"validation_{CHOSEN_BY[data.kind]}"
        return Probed(
            probe.predict(vectors[-len(self._test) :]),
            {**probe.setting, chosen: probe.validation_score},
        )

    def draw(self) -> str | None:
        """Draw the map of training and test rows by class.

        Returns
        -------
        name
            File name of the map; None if the task has no classes.
        """
        if self._data.kind not in _WITH_CLASSES:
            return None
        drawn = Cells(self._folder, self._save_map, lambda path: path.name)
        return drawn.one(Cell(MAP, self._map))

    def _map(self) -> "_Map":
        """Place at most `MOST_POINTS` rows of training and test on a plane, by t-SNE."""
        data, n, n_test = self._data, len(self._data.training), len(self._test)
        vectors = np.concatenate([self._vectors[:n], self._vectors[-n_test:]])
        labels = np.concatenate([data.training.targets(), self._test.targets()])
        rng = np.random.default_rng(self._settings.seed)
        shown = np.sort(rng.permutation(len(vectors))[:MOST_POINTS])
        _log.info("%s: a t-SNE map of %s of %s rows", self._name, f"{len(shown):,}",
                  f"{len(vectors):,}")  # fmt: skip
        points = neighbour_map(vectors[shown], seed=self._settings.seed)
        return _Map(points, labels[shown], shown >= n)

    def _save_map(self, placed: "_Map", path: Path) -> None:
        figure = new_figure(1, width=7.5, row_height=6.0)
        plot_map(
            figure.axes[0], *placed, self._data.labels.classes,
            title=f"t-SNE of frozen embeddings\n{self._name}",
        )  # fmt: skip
        save_figure(figure, path)

    @cached_property
    def _vectors(self) -> Vectors:
        return Cells(self._folder, _save_vectors, np.load).one(Cell(EMBEDDINGS, self._embedded))

    def _embedded(self) -> Vectors:
        """Embed all rows, after logging the expected time and memory."""
        data = self._data
        held = [data.validation] if data.validation is not self._test else []
        rows = [tokens for part in (data.training, *held, self._test) for tokens in part.sequences]
        model = copy.deepcopy(self._language)
        model.to(choose_device(self._settings.device))  # pyright: ignore[reportArgumentType] transformers hides its self
        context, strand = model.config.context_length, self._settings.strand
        lengths = [len(tokens) for tokens in rows]
        n_tokens = len(strands_of(strand)) * _n_read(lengths, context)
        plan = plan_inference(
            model, longest=min(max(lengths), context), at_once=1, n_tokens=n_tokens
        )
        _log.info("%s: embedding %s: %s", self._name, counted(len(rows), "row"), plan)
        if n_long := sum(length > context for length in lengths):
            _log.info(
                "%s: %s rows are longer than the context of %s bp and are read in chunks; "
                "their embedding is the mean over all positions",
                self._name, f"{n_long:,}", f"{context:,}",
            )  # fmt: skip
        with progress(n_tokens, f"{self._name}: embeddings", "tokens") as meter:
            found = embed(model, rows, strand=strand, stride=self._stride, on_tokens=meter.advance)
            return np.stack([*found])


def _save_vectors(vectors: Vectors, path: Path) -> None:
    np.save(path, vectors)


def _n_read(lengths: Iterable[int], context: int) -> int:
    """Return the number of tokens read of one strand, counting overlaps twice."""
    return sum(
        window.end - window.start
        for length in lengths
        for window in windows(length, context, context)
    )
