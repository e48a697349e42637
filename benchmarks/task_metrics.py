"""Time one replicate of the bootstrap: our metrics of weighted rows, and those of the libraries.

python benchmarks/task_metrics.py
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy import stats
from sklearn import metrics

from megabase.metrics.task_metrics import measure_of
from megabase.runtime.environment import machine, versions

rng = np.random.default_rng(0)


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median milliseconds of five runs."""
    found: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - started))
    return statistics.median(found)


def of_classes(n_rows: int, n_classes: int) -> tuple[float, float]:
    """Return milliseconds by our code and by scikit-learn, with its `sample_weight`."""
    p = rng.dirichlet(np.ones(n_classes), size=n_rows)
    labels, predicted = rng.integers(n_classes, size=n_rows), p.argmax(axis=1)
    weights = rng.multinomial(n_rows, np.ones(n_rows) / n_rows).astype(float)
    measure = measure_of("binary" if n_classes == 2 else "multiclass", labels, p)

    def by_library() -> None:
        metrics.accuracy_score(labels, predicted, sample_weight=weights)
        metrics.matthews_corrcoef(labels, predicted, sample_weight=weights)
        for average in ("macro", "weighted"):
            metrics.f1_score(labels, predicted, average=average, sample_weight=weights)
        for each in [1] if n_classes == 2 else range(n_classes):
            metrics.roc_auc_score(labels == each, p[:, each], sample_weight=weights)
            metrics.average_precision_score(labels == each, p[:, each], sample_weight=weights)

    return milliseconds(lambda: measure(weights)), milliseconds(by_library)


def of_values(n_rows: int) -> tuple[float, float]:
    """Return milliseconds by our code, and by scikit-learn and scipy on repeated rows."""
    y, p = rng.normal(size=(2, n_rows))
    weights = rng.multinomial(n_rows, np.ones(n_rows) / n_rows)
    measure = measure_of("regression", y, p)

    def by_library() -> None:
        u, v = np.repeat(y, weights), np.repeat(p, weights)
        metrics.mean_squared_error(u, v)
        metrics.r2_score(u, v)
        stats.pearsonr(u, v)
        stats.spearmanr(u, v)

    return milliseconds(lambda: measure(weights.astype(float))), milliseconds(by_library)


print(f"{machine()}; {versions()}")
for n in (1_000, 10_000, 100_000):
    for name, (ours, theirs) in {
        "2 classes": of_classes(n, 2),
        "10 classes": of_classes(n, 10),
        "values": of_values(n),
    }.items():
        print(f"{n:,} rows, {name}: {ours:.2f} ms, {theirs:.2f} ms; ratio {theirs / ours:.0f}")
