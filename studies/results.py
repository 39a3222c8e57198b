"""What a run leaves: the result that is shown, stored in `metrics.json`, and read again later."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaces.parameters import Scalar
from studies.events import Progress


@dataclass(frozen=True)
class Result:
    """The outcome of one call of `search run`.

    Args:
        study: Name of the study.
        metric: What was compared.
        direction: `maximize` or `minimize`.
        progress: Trials by state, the baseline's value and the best trial.
        metrics: What stands in `metrics.json`; None when nothing was exported in this run or before it.
        export: Folder of the exported model, or None.
        interrupted: Name of the signal that ended the run, or None.
        timed_out: The run's time was over before all trials were evaluated.
        already_finished: All trials had been evaluated before this run.
        seconds: Seconds of this run's search, retraining and export.
    """

    study: str
    metric: str
    direction: str
    progress: Progress
    metrics: Mapping[str, Any] | None
    export: Path | None
    interrupted: str | None = None
    timed_out: bool = False
    already_finished: bool = False
    seconds: Mapping[str, float] | None = None

    @property
    def gain(self) -> float | None:
        """How much better the best trial is than the baseline; above 0 is better, whatever the direction."""
        best, base = self.progress.best, self.progress.baseline
        if best is None or base is None:
            return None
        return best.value - base if self.direction == "maximize" else base - best.value


@dataclass(frozen=True)
class TrialRow:
    """One trial as `search trials` lists it.

    Args:
        number: Its number.
        state: `complete`, `pruned`, `failed`, `waiting` or `running`.
        value: Its best epoch's metric, or None.
        epoch: That epoch, counted from 1, or None.
        epochs: Epochs that were trained.
        seconds: How long it took, or None.
        reason: Why it was pruned or failed; empty when complete.
        params: Its parameters by dotted name.
    """

    number: int
    state: str
    value: float | None
    epoch: int | None
    epochs: int
    seconds: float | None
    reason: str
    params: Mapping[str, Scalar]
