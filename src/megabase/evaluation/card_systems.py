"""The systems of an evaluation card: each learns from the same rows, and tells what that took."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from megabase.data.labelled_dataset import Examples
from megabase.errors import InputError
from megabase.evaluation.rivals import KMERS, kmer_baseline
from megabase.evaluation.task_rows import as_bases
from megabase.measure.kmers import kmer_names
from megabase.measure.metrics import Predictions, metrics_of
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.run.log import Meter
from megabase.training.adaptation import moving
from megabase.training.config import AdaptConfig
from megabase.training.fit import fit_model
from megabase.training.labelled import LabelledData

PRETRAINED, SCRATCH = "pretrained", "from scratch"
SYSTEMS = (PRETRAINED, SCRATCH, KMERS)
"""Their names, in the order of tables."""


class Fitted(NamedTuple):
    """What was learned, and how large it is."""

    answer: Callable[[Examples], Predictions]
    n_epochs: int | None
    n_parameters: int
    n_moving: int


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
            That the Trainer is told of; nothing is written.
        meter
            Counts epochs.

        Returns
        -------
        record, answers
            The record has the test ``metrics``; ``seconds`` and ``processor_seconds`` (all
            threads) from the start of training to its best epoch loaded, validation after
            each epoch with it; ``peak_memory_bytes``, the most that the whole process has had
            resident up to now; numbers of rows, epochs and parameters.
        """
        data = self.data
        wall, processor = time.perf_counter(), time.process_time()
        fitted = self._kmers() if self.system == KMERS else self._model(folder, meter)
        seconds = time.perf_counter() - wall, time.process_time() - processor
        peak = peak_memory_bytes()
        answers = fitted.answer(self.test)
        record = {
            "system": self.system,
            "n_rows": len(data.training),
            "n_validation": len(data.validation),
            "seed": self.seed,
            "metrics": metrics_of(data.kind, self.test.targets(), answers),
            "seconds": seconds[0],
            "processor_seconds": seconds[1],
            "peak_memory_bytes": peak,
            "n_epochs": fitted.n_epochs,
            "n_parameters": fitted.n_parameters,
            "n_moving": fitted.n_moving,
        }
        return record, answers

    def _model(self, folder: Path, meter: Meter) -> Fitted:
        is_fresh = self.system == SCRATCH
        settings = settings_of(self.system, self.settings)
        model, _, trainer = fit_model(
            settings, self.data, self.language, seed=self.seed, folder=folder, meter=meter,
            is_fresh=is_fresh,
        )  # fmt: skip
        return Fitted(
            trainer.answers,
            len(trainer.epochs),
            sum(parameter.numel() for parameter in model.parameters()),
            sum(tensor.numel() for tensor in moving(model).values()),
        )

    def _kmers(self) -> Fitted:
        """Fit logistic or ridge regression, whose weights and offsets are its parameters."""
        baseline = kmer_baseline(self.data)
        n_columns = len(kmer_names(baseline.k, canonical=baseline.canonical))
        n_outputs = len(self.data.labels.classes) if self.data.kind == "multiclass" else 1
        n = n_outputs * (n_columns + 1)

        def answer(rows: Examples) -> Predictions:
            return baseline.predict(as_bases(rows))

        return Fitted(answer, None, n, n)


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
