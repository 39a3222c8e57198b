"""Maps trials that other programs added to recipes of the space, or to failed trials."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from spaces.errors import SpaceError
from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import MISSING, Choice, Float, Int, Parameter
from spaces.space import Space, flatten, resolve
from spaces.training import METRICS
from studies.database.enqueued import possible_value
from studies.database.optuna_tables import TRIALS
from studies.database.stored_trials import OUTCOME, PARAMS, outcome_of
from studies.database.transactions import Database
from studies.database.trial_writes import PendingWrites
from studies.outcome import FAILED, TrialOutcome

JUDGED = (TrialState.COMPLETE, TrialState.PRUNED)


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter."""
    match parameter:
        case Int():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
        case Float():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
        case Choice():
            return CategoricalDistribution(parameter.names)


@dataclass
class Imports:
    """Maps every trial to the space, whatever distributions it was added with.

    A trial that another program evaluated, and that is not a recipe of the space, becomes a failed trial: samplers
    cannot learn from it, and it cannot be retrained.

    Args:
        space: The search space.
        is_claimed: Returns True if a worker of this study has claimed the trial of that id.
    """

    space: Space
    is_claimed: Callable[[int], bool]
    _refused: dict[int, TrialOutcome] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._parameters: Mapping[str, Parameter] = {each.name: each.parameter for each in flatten(self.space)}
        self._distributions = {name: distribution_of(parameter) for name, parameter in self._parameters.items()}
        self._has_hypermodel = isinstance(self.space.model, KerasTunerModel)

    def convert(self, trial: FrozenTrial) -> FrozenTrial:
        """Return a trial as a recipe of the space, or as failed."""
        is_judged = trial.state in JUDGED
        if (self._fits(trial) and not (is_judged and outcome_of(trial) is None)) or self.is_claimed(trial._trial_id):
            return trial
        if not is_judged:
            return _with(trial)
        params = {name: self._value(name, value) for name, value in trial.params.items()}
        if problem := self._problem(trial, params):
            reason = f"added with a value, but not usable: {problem}"
            outcome = TrialOutcome(FAILED, None, None, len(trial.intermediate_values), 0.0, reason, refused=True)
            self._refused[trial._trial_id] = outcome
            return _with(trial, state=TrialState.FAIL, user_attrs={**trial.user_attrs, OUTCOME: asdict(outcome)})
        if self._has_hypermodel:
            return trial
        return _with(trial, params=params, distributions={name: self._distributions[name] for name in params})

    def convert_claimed(self, trial: FrozenTrial) -> FrozenTrial:
        """Return a trial at its first claim: the values that it was created with count as enqueued."""
        if self._fits(trial):
            return trial
        enqueued = trial.system_attrs.get("fixed_params", {})
        given = {**trial.params, **enqueued} if isinstance(enqueued, dict) else enqueued
        return _with(trial, system_attrs={**trial.system_attrs, "fixed_params": given})

    def write(self, database: Database) -> None:
        """Mark the refused trials as failed in the database too, each with its reason."""
        refused, self._refused = self._refused, {}
        if refused:
            database.run(lambda connection: _fail(connection, refused))

    def _fits(self, trial: FrozenTrial) -> bool:
        """Return True if a trial has the distributions of the space."""
        known = self._distributions
        if self._has_hypermodel:
            # The distributions of its hyperparameters are found while it is built.
            return all(known.get(name, each) == each for name, each in trial.distributions.items())
        return all(known.get(name) == each for name, each in trial.distributions.items())

    def _value(self, name: str, value: Any) -> Any:
        parameter = self._parameters.get(name)
        accepted = MISSING if parameter is None else possible_value(parameter, value)
        return value if accepted is MISSING else accepted

    def _problem(self, trial: FrozenTrial, params: Mapping[str, Any]) -> str | None:
        """Return why a trial that another program evaluated cannot be used, or None."""
        if self._has_hypermodel:
            return None if PARAMS in trial.user_attrs else "a hypermodel's trials can only be added by search itself"
        if trial.state == TrialState.COMPLETE and (found := _problem_of_value(trial.value, self.space.metric)):
            return found
        try:
            resolve(self.space, params)
        except SpaceError as error:
            return str(error)
        return None


def _problem_of_value(value: float | None, metric: str) -> str | None:
    if value is None or not math.isfinite(value):
        return f"its value is {value}"
    if METRICS[metric] == "maximize" and not 0 <= value <= 1:
        return f"its value is {value:g}, but {metric} is between 0 and 1"
    return f"its value is {value:g}, but {metric} is at least 0" if value < 0 else None


def _with(trial: FrozenTrial, **changes: Any) -> FrozenTrial:
    """Return a changed copy of a trial, without parameters unless they are passed."""
    changed = copy.copy(trial)
    for name, value in ({"params": {}, "distributions": {}} | changes).items():
        setattr(changed, name, value)
    return changed


def _fail(connection: sa.Connection, refused: Mapping[int, TrialOutcome]) -> None:
    query = sa.select(TRIALS.c.trial_id).where(TRIALS.c.trial_id.in_([*refused]), TRIALS.c.state.in_(JUDGED))
    for trial_id in connection.scalars(query.order_by(TRIALS.c.trial_id)).all():
        PendingWrites(user_attrs={OUTCOME: asdict(refused[trial_id])}).write(connection, trial_id)
        connection.execute(sa.update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(state=TrialState.FAIL))
