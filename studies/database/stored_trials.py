"""Reads outcomes, recipes and progress from Optuna's trials."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import optuna
from optuna.trial import FrozenTrial, TrialState

from spaces.contents import short_hash
from spaces.parameters import Scalar
from studies.outcome import COMPLETE, FAILED, PRUNED, RUNNING, WAITING, Best, Costs, Progress, TrialOutcome

OUTCOME, PARAMS = "search:outcome", "search:params"
RECIPE = "search:recipe"
"""Attribute of a trial that stores the key of its recipe."""

STATES = {
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.WAITING: WAITING,
    TrialState.RUNNING: RUNNING,
}


def params_of(trial: FrozenTrial | optuna.Trial) -> dict[str, Scalar]:
    """Return a trial's parameters by their own names, which may differ from those in Optuna for a hypermodel."""
    own = trial.user_attrs.get(PARAMS)
    return dict(own if isinstance(own, dict) else trial.params)


def outcome_of(trial: FrozenTrial) -> TrialOutcome | None:
    """Return the outcome of a trial; None while it is not finished, or if the stored outcome is invalid."""
    stored = trial.user_attrs.get(OUTCOME)
    if not isinstance(stored, dict) or not trial.state.is_finished():
        return None
    try:
        return TrialOutcome(
            **{field.name: stored[field.name] for field in fields(TrialOutcome) if field.name in stored}
        )
    except TypeError:
        return None


def outcome_as_far_as_known(trial: FrozenTrial) -> TrialOutcome:
    """Return the outcome of a trial; without a stored one, such as of a trial from another program, what Optuna has."""
    outcome = outcome_of(trial) or TrialOutcome("", trial.value, None, len(trial.intermediate_values), 0.0)
    return replace(outcome, state=STATES[trial.state])


def costs_of(study: optuna.Study, number: int) -> Costs | None:
    """Return the training costs of a trial; None if they are unknown."""
    trial = next((trial for trial in study.get_trials(deepcopy=False) if trial.number == number), None)
    outcome = outcome_of(trial) if trial else None
    try:
        return Costs(**outcome.costs) if outcome and outcome.costs else None
    except TypeError:
        return None


def key_of(params: Mapping[str, Scalar]) -> str:
    """Return the key of a recipe within its space; rounding errors of floats do not change it."""
    plain = {name: f"{value:.12g}" if isinstance(value, float) else [value] for name, value in params.items()}
    return short_hash(json.dumps(plain, sort_keys=True))


def ended_assignments(trials: Sequence[FrozenTrial], *, but: int = -1) -> dict[int, str]:
    """Return the keys of the trials' recipes by trial number, without the trial `but`."""
    found = {}
    for trial in trials:
        outcome = outcome_of(trial)
        if trial.number == but or (outcome is not None and outcome.refused):
            continue
        if isinstance(reserved := trial.user_attrs.get(RECIPE), str):
            found[trial.number] = reserved
        elif trial.params and trial.state != TrialState.RUNNING:
            found[trial.number] = key_of(params_of(trial))
    return found


def total_seconds(study: optuna.Study) -> float:
    """Return the total seconds of all trials."""
    outcomes = (outcome_of(trial) for trial in study.get_trials(deepcopy=False))
    return sum(outcome.seconds for outcome in outcomes if outcome)


def progress(study: optuna.Study, trial_budget: int) -> Progress:
    """Return the progress of a study towards its trial budget."""
    known = study.get_trials(deepcopy=False)
    complete = [trial for trial in known if trial.state == TrialState.COMPLETE]
    first = next((trial for trial in complete if trial.number == 0), None)
    return Progress(
        trials=trial_budget,
        complete=len(complete),
        pruned=sum(trial.state == TrialState.PRUNED for trial in known),
        failed=sum(trial.state == TrialState.FAIL for trial in known),
        baseline=first.value if first else None,
        best=_best(study, complete),
        recipes=len({*ended_assignments([trial for trial in known if trial.state.is_finished()]).values()}),
    )


def _best(study: optuna.Study, complete: Sequence[FrozenTrial]) -> Best | None:
    """Return the best complete trial; among equal values the one with the lowest loss, then the earliest."""
    if not complete:
        return None
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1

    def rank(trial: FrozenTrial) -> tuple[float, float, int]:
        outcome = outcome_of(trial)
        loss = outcome.loss if outcome and outcome.loss is not None else math.inf
        return sign * (trial.value or 0.0), loss, trial.number

    best = min(complete, key=rank)
    outcome = outcome_of(best)
    # A trial that another program evaluated has no epochs.
    epoch = outcome.epoch if outcome and outcome.epoch else 0
    second = outcome.second_phase if outcome else 0
    first = outcome.first_phase if outcome else None
    chosen = outcome.chosen if outcome else {}
    return Best(best.number, float(best.value or 0.0), epoch, params_of(best), first, second, chosen)
