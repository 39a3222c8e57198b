"""Trials in the database: taking the next one, ending it, and reading how far the study is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from spaces.parameters import Scalar
from studies.events import COMPLETE, FAILED, PRUNED, RUNNING, WAITING, Best, Progress

OUTCOME, PARAMS = "search:outcome", "search:params"
STATES = {
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.WAITING: WAITING,
    TrialState.RUNNING: RUNNING,
}
_TOLD = {name: state for state, name in STATES.items()}


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Args:
        state: `complete`, `pruned`, `failed` or `waiting`.
        value: Its best epoch's metric, or None.
        epoch: That epoch, counted from 1, or None.
        epochs: Whole epochs that were trained.
        seconds: How long it took.
        reason: Why it did not end by itself; empty when complete.
        loss: The validation loss of its best epoch, or None; it decides between trials of equal value.
        path: What it was trained on: `images`, or `features` or `cached views` of a frozen backbone.
        first_phase: Epochs of the first phase that led to its weights, or None.
        second_phase: Epochs of the second phase that led to its weights; 0 without one.
    """

    state: str
    value: float | None
    epoch: int | None
    epochs: int
    seconds: float
    reason: str = ""
    loss: float | None = None
    path: str = ""
    first_phase: int | None = None
    second_phase: int = 0


def hand_back_abandoned(study: optuna.Study) -> int:
    """Make the trials of processes that are gone wait for the next one to take them; returns how many.

    Only for whoever holds the study alone: it cannot tell a running trial from an abandoned one.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
    return len(running)


def take_next(study: optuna.Study, trials: int, points: Sequence[Mapping[str, Scalar]]) -> optuna.Trial | None:
    """Take a trial that waits, or a new one; None when all have been evaluated.

    Args:
        study: The study.
        trials: Trials to evaluate in all.
        points: Assignments that are laid down, by trial number.
    """
    known = study.get_trials(deepcopy=False)
    if sum(trial.state.is_finished() for trial in known) >= trials:
        return None
    if not any(trial.state == TrialState.WAITING for trial in known):
        if len(known) >= trials:
            return None
        if len(known) < len(points):
            study.enqueue_trial(dict(points[len(known)]))
    return study.ask()


def report(trial: optuna.Trial, epoch: int, value: float, *, again: bool) -> None:
    """Store the metric of an epoch; `again` when an interrupted run of this trial had reported it before."""
    if again:
        # Optuna ignores a second report of one step, with a warning.
        trial.storage.set_trial_intermediate_value(trial._trial_id, epoch, value)
    else:
        trial.report(value, epoch)


def end(study: optuna.Study, trial: optuna.Trial, outcome: Outcome) -> None:
    """Store how a trial ended, in one place that the next run and every reader understands."""
    if outcome.state == WAITING:
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        return
    trial.set_user_attr(OUTCOME, asdict(outcome))
    study.tell(trial, outcome.value if outcome.state == COMPLETE else None, state=_TOLD[outcome.state])


def params_of(trial: FrozenTrial | optuna.Trial) -> dict[str, Scalar]:
    """A trial's parameters by their own names; a hypermodel's may have others in Optuna, and other values."""
    return dict(trial.user_attrs.get(PARAMS, trial.params))


def outcome_of(trial: FrozenTrial) -> Outcome | None:
    """How a trial ended, or None while it has not."""
    stored: dict[str, Any] | None = trial.user_attrs.get(OUTCOME)
    return Outcome(**stored) if stored and trial.state.is_finished() else None


def total_seconds(study: optuna.Study) -> float:
    """Seconds that all trials took together."""
    outcomes = (outcome_of(trial) for trial in study.get_trials(deepcopy=False))
    return sum(outcome.seconds for outcome in outcomes if outcome)


def progress(study: optuna.Study, trials: int) -> Progress:
    """How far the study is."""
    known = study.get_trials(deepcopy=False)
    complete = [trial for trial in known if trial.state == TrialState.COMPLETE]
    first = next((trial for trial in complete if trial.number == 0), None)
    return Progress(
        trials=trials,
        complete=len(complete),
        pruned=sum(trial.state == TrialState.PRUNED for trial in known),
        failed=sum(trial.state == TrialState.FAIL for trial in known),
        baseline=first.value if first else None,
        best=_best(study, complete),
    )


def _best(study: optuna.Study, complete: Sequence[FrozenTrial]) -> Best | None:
    """The best complete trial; of equals, the one with the lowest loss, then the earliest."""
    if not complete:
        return None
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1

    def rank(trial: FrozenTrial) -> tuple[float, float, int]:
        outcome = outcome_of(trial)
        loss = outcome.loss if outcome and outcome.loss is not None else math.inf
        return sign * (trial.value or 0.0), loss, trial.number

    best = min(complete, key=rank)
    outcome = outcome_of(best)
    epoch = outcome.epoch if outcome and outcome.epoch else len(best.intermediate_values)
    second = outcome.second_phase if outcome else 0
    first = outcome.first_phase if outcome else None
    return Best(best.number, float(best.value or 0.0), epoch, params_of(best), first, second)
