"""Compute the context length and the number of windows as pure functions of the step."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from megabase.errors import InputError
from megabase.metrics.label_efficiency import doubling


class Stage(NamedTuple):
    """A stage of the schedule: `n_windows` windows of `length` tokens from `first_step` on."""

    first_step: int
    length: int
    n_windows: int


class LengthSchedule:
    """A length warm-up: windows double in length from stage to stage, up to the full context.

    Parameters
    ----------
    stages
        The stages in order; the first begins at step 0.
    n_steps
        Number of steps of the run.

    Source
    ------
    Nguyen et al. 2023, arXiv:2306.15794v2, Section 3.2, where the number of windows per step
    is constant and the tokens per step grow; here the tokens per step are constant by default.
    """

    def __init__(self, stages: Sequence[Stage], n_steps: int) -> None:
        self.stages = tuple(stages)
        self.n_steps = n_steps
        self._firsts = [stage.first_step for stage in stages]

    def at(self, step: int) -> Stage:
        """Return the stage of a step."""
        return self.stages[bisect_right(self._firsts, step) - 1]

    def tokens_before(self, step: int) -> int:
        """Count the tokens of all steps before this one."""
        ends = [*self._firsts[1:], self.n_steps]
        return sum(
            max(0, min(step, end) - stage.first_step) * stage.n_windows * stage.length
            for stage, end in zip(self.stages, ends, strict=True)
        )


def plan_lengths(
    *,
    n_steps: int,
    context_length: int,
    tokens_per_step: int,
    start_length: int | None = None,
    warmup_fraction: float = 0.5,
    constant_tokens: bool = True,
) -> LengthSchedule:
    """Plan a warm-up that doubles the length from the start to the context in equal stages.

    Parameters
    ----------
    n_steps
        Number of steps of the run.
    context_length
        Length of a window in tokens in the last stage.
    tokens_per_step
        Tokens of all windows of a step in the last stage; a step has at least one window.
    start_length
        Length of a window in tokens in the first stage; None: no warm-up.
    warmup_fraction
        Fraction of the steps that all stages but the last share equally.
    constant_tokens
        Whether the tokens per step are constant over the stages, rather than the windows.

    Raises
    ------
    InputError
        If there are more stages than steps for them.

    Examples
    --------
    >>> plan_lengths(n_steps=8, context_length=4096, tokens_per_step=8192, start_length=1024).stages
    (Stage(first_step=0, length=1024, n_windows=8), Stage(first_step=2, length=2048, n_windows=4), \
Stage(first_step=4, length=4096, n_windows=2))
    """
    n_windows = max(1, tokens_per_step // context_length)
    *shorter, _ = doubling(start_length or context_length, context_length)
    n_warmup = round(warmup_fraction * n_steps) if shorter else 0
    if n_warmup < len(shorter) or (shorter and n_warmup == n_steps):
        raise InputError(
            f"a length warm-up from {start_length:,} to {context_length:,} has {len(shorter)} "
            f"stages before the last, but {n_warmup} of the {n_steps} steps for them; use more "
            "steps, another length_warmup_fraction or a longer start_length"
        )
    stages = [
        Stage(
            n_warmup * number // len(shorter),
            length,
            max(1, tokens_per_step // length) if constant_tokens else n_windows,
        )
        for number, length in enumerate(shorter)
    ]
    return LengthSchedule([*stages, Stage(n_warmup, context_length, n_windows)], n_steps)
