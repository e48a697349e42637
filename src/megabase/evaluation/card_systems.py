"""The systems of an evaluation card: each learns from the same rows, and tells what that took."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from megabase.data.labelled_dataset import Examples
from megabase.errors import InputError
from megabase.evaluation.rivals import KMERS, kmer_baseline, with_retry
from megabase.evaluation.task_rows import as_bases
from megabase.measure.collapse import has_collapsed
from megabase.measure.kmers import kmer_names
from megabase.measure.metrics import Predictions, metrics_of
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.run.log import Meter
from megabase.training.adaptation import moving
from megabase.training.checkpoint import Checkpoints
from megabase.training.config import AdaptConfig
from megabase.training.finetune_trainer import Seconds
from megabase.training.fit import fit_model
from megabase.training.labelled import LabelledData

PRETRAINED, SCRATCH = "pretrained", "from scratch"
SYSTEMS = (PRETRAINED, SCRATCH, KMERS)
"""Their names, in the order of tables."""


class Fitted(NamedTuple):
    """What was learned, and how large it is."""

    answer: Callable[[Examples], Predictions]
    seconds: Seconds
    n_epochs: int | None
    n_parameters: int
    n_moving: int
    learning_rate: float = math.nan
    validation: Mapping[str, float] = MappingProxyType({})

    @property
    def is_collapsed(self) -> bool:
        """Whether it tells no more than the most frequent class, on validation."""
        return has_collapsed(self.validation)


@dataclass(frozen=True)
class Training:
    """One system, some rows, one seed.

    Parameters
    ----------
    system
        One of `SYSTEMS`.
    settings
        How the pretrained model is adapted; from scratch is the same, but that all moves.
    language
        The pretrained model; from scratch starts from its configuration with weights drawn.
    data
        What is learned and chosen on.
    test
        What is measured on.
    seed
        Of what is drawn and of the order of rows.
    """

    system: str
    settings: AdaptConfig
    language: HyenaDNAForCausalLM
    data: LabelledData
    test: Examples
    seed: int

    def run(self, folder: Path, meter: Meter) -> tuple[dict[str, Any], Predictions]:
        """Learn, and answer the test rows.

        Parameters
        ----------
        folder
            Where the training is saved while it lasts.
        meter
            Counts epochs.

        Returns
        -------
        record, answers
            The record has the test ``metrics``; ``seconds`` and ``processor_seconds`` (all
            threads) from the start of training to its best epoch loaded, validation after
            each epoch with it; ``peak_memory_bytes``, the most that the whole process has had
            resident up to now; numbers of rows, epochs and parameters. Where a model from
            scratch collapsed and was trained once more, the figures are of the better by
            validation, and ``attempts`` has the metrics of both.
        """
        fitted, *others = [self._kmers()] if self.system == KMERS else self._models(folder, meter)
        peak = peak_memory_bytes()
        answers, metrics = self._measured(fitted)
        record: dict[str, Any] = {
            "system": self.system,
            "n_rows": len(self.data.training),
            "n_validation": len(self.data.validation),
            "seed": self.seed,
            "metrics": metrics,
            "seconds": fitted.seconds.wall,
            "processor_seconds": fitted.seconds.processor,
            "peak_memory_bytes": peak,
            "n_epochs": fitted.n_epochs,
            "n_parameters": fitted.n_parameters,
            "n_moving": fitted.n_moving,
        }
        if others:
            record["attempts"] = [
                {
                    "learning_rate": each.learning_rate,
                    "metrics": self._measured(each)[1],
                    "is_reported": each is fitted,
                }
                for each in (fitted, *others)
            ]
        return record, answers

    def _measured(self, fitted: Fitted) -> tuple[Predictions, dict[str, float]]:
        answers = fitted.answer(self.test)
        return answers, metrics_of(self.data.kind, self.test.targets(), answers)

    def _models(self, folder: Path, meter: Meter) -> list[Fitted]:
        """Adapt the model; or train one from scratch, and once more if it collapsed."""
        settings = settings_of(self.system, self.settings)

        def train(rate: float) -> Fitted:
            return self._model(folder / f"{rate:g}", meter, rate)

        if self.system != SCRATCH:
            return [train(settings.peak_rate)]
        name = f"{SCRATCH}, {len(self.data.training):,} rows, seed {self.seed},"
        return with_retry(train, settings.peak_rate, name=name, select=settings.select)

    def _model(self, folder: Path, meter: Meter, rate: float) -> Fitted:
        settings = settings_of(self.system, self.settings)
        model, _, trainer = fit_model(
            settings.model_copy(update={"learning_rate": rate}),
            self.data, self.language, seed=self.seed, checkpoints=Checkpoints(folder), meter=meter,
            is_fresh=self.system == SCRATCH,
        )  # fmt: skip
        return Fitted(
            trainer.answers,
            trainer.seconds(),
            len(trainer.epochs),
            sum(parameter.numel() for parameter in model.parameters()),
            sum(tensor.numel() for tensor in moving(model).values()),
            rate,
            trainer.record()["validation"],
        )

    def _kmers(self) -> Fitted:
        """Fit logistic or ridge regression, whose weights and offsets are its parameters."""
        started = Seconds(0.0, 0.0).until_now()
        baseline = kmer_baseline(self.data)
        seconds = started.until_now()
        n_columns = len(kmer_names(baseline.k, canonical=baseline.canonical))
        n_outputs = len(self.data.labels.classes) if self.data.kind == "multiclass" else 1
        n = n_outputs * (n_columns + 1)

        def answer(rows: Examples) -> Predictions:
            return baseline.predict(as_bases(rows))

        return Fitted(answer, seconds, None, n, n)


def settings_of(system: str, settings: AdaptConfig) -> AdaptConfig:
    """Give the settings of a system: from scratch, all weights move."""
    return settings.model_copy(update={"adapt": "full"}) if system == SCRATCH else settings


def peak_memory_bytes() -> int:
    """Return the most memory that this process has had resident since it began.

    Raises
    ------
    InputError
        If this system has no such count.
    """
    try:
        import resource  # noqa: PLC0415 Windows has none
    except ImportError as error:
        raise InputError("a card measures memory, which takes Linux or macOS") from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # elsewhere it is in KiB
