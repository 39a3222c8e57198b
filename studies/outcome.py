"""State of a run, its workers and its trials, and their results: plain records that load neither Optuna nor Keras."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from spaces.parameters import Scalar
from spaces.space import Space
from studies.stop_request import StopReason

COMPLETE, PRUNED, FAILED, WAITING, RUNNING = "complete", "pruned", "failed", "waiting", "running"
ALIVE, ENDED, LOST = "alive", "ended", "lost"


class Activity(StrEnum):
    """What a worker does, in words; the database stores the value."""

    STARTING = "starting"
    TRAINING = "training"
    BETWEEN_TRIALS = "between trials"
    WAITING = "waiting for the other workers"
    EXPORTING = "retraining and exporting the best trial"


@dataclass(frozen=True)
class Best:
    """The best complete trial so far.

    Args:
        number: Its number.
        value: Its value: its best epoch's metric.
        epoch: That epoch, counted from 1; 0 where it is unknown, since the trial was evaluated elsewhere.
        params: Its parameters by dotted name.
        first_phase: Epochs of the first phase that led to its weights; None for all up to the best one.
        second_phase: Epochs of the second phase that led to its weights; 0 without one.
        chosen: Values that its training chose because the recipe leaves them open, by dotted name.
    """

    number: int
    value: float
    epoch: int
    params: Mapping[str, Scalar]
    first_phase: int | None = None
    second_phase: int = 0
    chosen: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def epochs(self) -> tuple[int, int]:
        """Epochs of the first and of the second phase that give its weights again."""
        return self.first_phase or self.epoch, self.second_phase


@dataclass(frozen=True)
class Progress:
    """How far the study is.

    Args:
        trials: Trials to evaluate in all.
        complete: Trials that ended by themselves.
        pruned: Trials that were ended early, with their reasons in the database.
        failed: Trials that could not be evaluated.
        baseline: Value of trial 0, or None while it has none.
        best: The best complete trial, or None.
        recipes: How many different recipes have been evaluated.
    """

    trials: int
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    baseline: float | None = None
    best: Best | None = None
    recipes: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Trials that have ended, by state."""
        return {COMPLETE: self.complete, PRUNED: self.pruned, FAILED: self.failed}

    @property
    def done(self) -> int:
        """Trials that have ended."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class TrialOutcome:
    """Outcome of a trial.

    Args:
        state: `complete`, `pruned`, `failed` or `waiting`.
        value: Metric of the best epoch, or None.
        epoch: Best epoch, counted from 1, or None.
        epochs: Number of epochs that were finished.
        seconds: Duration of the training.
        reason: Why it was pruned, failed or released (then a `StopReason`); empty if complete.
        loss: Validation loss of the best epoch, or None; breaks ties between equal values.
        trained_on: `images`, or `features` or `cached views` of a frozen backbone.
        first_phase: Epochs of the first phase that led to the weights, or None.
        second_phase: Epochs of the second phase that led to the weights; 0 without one.
        costs: Fields of `Costs`, or None if they were not measured.
        chosen: Values that the training chose because the recipe leaves them open, by dotted name.
        refused: True if the trial was never trained, because its enqueued or added values are not in the space.
    """

    state: str
    value: float | None
    epoch: int | None
    epochs: int
    seconds: float
    reason: str = ""
    loss: float | None = None
    trained_on: str = ""
    first_phase: int | None = None
    second_phase: int = 0
    costs: Mapping[str, Any] | None = None
    chosen: Mapping[str, Scalar] = field(default_factory=dict)
    refused: bool = False


@dataclass(frozen=True)
class RunResult:
    """Result of one invocation of `search run`.

    Args:
        study: Name of the study.
        metric: Metric that was compared.
        direction: `maximize` or `minimize`.
        progress: Trials by state, value of the baseline, and best trial.
        metrics: Content of `metrics.json`, or None if there is no export.
        export: Folder of the exported model, or None.
        interrupted: Reason for which the run was stopped before its trials were done, or None; not a limit of its own.
        timed_out: True if the time limit was reached before all trials were done.
        already_finished: True if all trials were done before this run.
        exported_by: Description of another worker that exports the best trial; empty if there is none.
        should_restart: True if a new process should take over, because this one has run its number of trials.
        is_exhausted: True if every recipe of the space has been evaluated.
        untested: Folder of an export from before the end of the search, which is not yet tested; None without one.
        space: The space that was searched, if the declared one left it open; else None.
    """

    study: str
    metric: str
    direction: str
    progress: Progress
    metrics: Mapping[str, Any] | None
    export: Path | None
    interrupted: StopReason | None = None
    timed_out: bool = False
    already_finished: bool = False
    exported_by: str = ""
    should_restart: bool = False
    is_exhausted: bool = False
    untested: Path | None = None
    space: Space | None = None

    @property
    def gain(self) -> float | None:
        """How much better the best trial is than the baseline; above 0 is better, whatever the direction."""
        best, base = self.progress.best, self.progress.baseline
        if best is None or base is None:
            return None
        return best.value - base if self.direction == "maximize" else base - best.value


@dataclass(frozen=True)
class Costs:
    """What the training of one trial cost, in seconds.

    Args:
        start_seconds: Until the first step was done: building and compiling.
        epoch_seconds: One epoch with its validation.
        image_seconds: At most, for one image through the whole network.
        layers: Layers of the whole network; None where that is not known.
        is_whole: Whether the whole network was trained, rather than its head on features.
    """

    start_seconds: float
    epoch_seconds: float
    image_seconds: float
    layers: int | None = None
    is_whole: bool = True


@dataclass(frozen=True)
class WorkerInfo:
    """One process that works, or has worked, on a study.

    Args:
        host: Host name of its machine.
        pid: Process id on that machine.
        device: Device that it trains on, such as `GPU 0`.
        state: `alive`, `lost` (no heartbeat for too long, even if no other worker has noticed yet) or `ended`.
        activity: An `Activity`, or the text of another release; the last one of a worker that is not alive.
        trial_number: Number of its trial, or None.
        epoch: Finished epochs of that trial, or None.
        epochs: Maximum number of epochs of that trial, or None.
        metric_value: Metric after the last epoch, or None.
        heartbeat_seconds: Seconds since the last heartbeat.
        running_seconds: Seconds from its registration to now, or to its last heartbeat if it is not alive.
        finished_trials: Number of trials that it has finished.
        log: Path of its log file, or None.
        worker_id: Identifier that is unique across machines; empty before it has registered.
    """

    host: str
    pid: int
    device: str
    state: str = ALIVE
    activity: str = Activity.STARTING
    trial_number: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    metric_value: float | None = None
    heartbeat_seconds: float = 0.0
    running_seconds: float = 0.0
    finished_trials: int = 0
    log: str | None = None
    worker_id: str = ""

    @property
    def is_alive(self) -> bool:
        """True unless the worker is lost or has ended."""
        return self.state == ALIVE

    @property
    def age_seconds(self) -> float:
        """Seconds since its registration."""
        return self.running_seconds + (0.0 if self.is_alive else self.heartbeat_seconds)

    @property
    def name(self) -> str:
        """Machine and number of the worker there, or its process id."""
        found = re.search(r"worker-(\d+)\.log$", self.log or "")
        return f"{self.host.partition('.')[0]} {found[1] if found else f'pid {self.pid}'}"
