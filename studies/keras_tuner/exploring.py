"""Builds a hypermodel with several combinations of values, to list its hyperparameters and to check that one builds."""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from spaces.errors import EveryTrialError, ModelError
from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import Choice, Float, Int, Parameter, Scalar
from spaces.table import Row
from studies.keras_tuner.hyperparameters import SuggestedHyperParameters, describe_hyperparameter, hyperparameters_for
from studies.keras_tuner.mapping import (
    describe_conditions,
    describe_values,
    format_value,
    map_hyperparameter,
    possible_values,
)
from studies.keras_tuner.models import build_network
from studies.models.user_code import ends_trial

MAX_BUILDS = 30
MAX_BUILD_SECONDS = 20.0
"""Limits on building a hypermodel to discover hyperparameters that its defaults do not reach."""

OTHER_COMBINATIONS = 10
"""Number of other combinations to try if the defaults cannot be built."""


def try_build(record: KerasTunerModel, hp: SuggestedHyperParameters) -> keras.Model | ModelError:
    """Return the network, or the error that says why it cannot be built with these values.

    Raises:
        ModelError: The hypermodel is wrong with any values, or its hyperparameters cannot be searched.
    """
    try:
        return build_network(record, hp)
    except EveryTrialError:
        raise
    except ModelError as error:
        if hp.failure is not None:
            raise
        return error
    except Exception as error:
        if not ends_trial(error):
            raise
        return ModelError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def can_build(record: KerasTunerModel, fits: Callable[[keras.Model], Any] = lambda network: None) -> bool:
    """Return True if a combination other than the defaults can be built, and `fits` accepts its network."""
    return next(values_that_fit(record, fits), None) is not None


def values_that_fit(record: KerasTunerModel, fits: Callable[[keras.Model], Any]) -> Iterator[Mapping[str, Scalar]]:
    """Yield other combinations than the defaults that can be built, in a fixed order.

    `fits` checks the network, and raises `ModelError`.
    """
    for seed in range(OTHER_COMBINATIONS):
        hp = hyperparameters_for(record.with_values({}), _RandomValues(random.Random(seed)))
        network = try_build(record, hp)
        if isinstance(network, ModelError):
            continue
        try:
            fits(network)
        except ModelError:
            continue
        yield hp.values


@dataclass
class _RandomValues:
    """Draw a random value of a hyperparameter."""

    rng: random.Random

    def __call__(self, hp: Any) -> Scalar:
        found = map_hyperparameter(hp)
        return hp.default if found is None else found.value(self._draw(found.parameter))

    def _draw(self, parameter: Parameter) -> Scalar:
        match parameter:
            case Choice():
                return self.rng.choice(parameter.names)
            case Int() | Float() if values := parameter.values():
                return self.rng.choice(values)
        low, high = float(parameter.low), float(parameter.high)
        if parameter.log:
            return min(high, max(low, math.exp(self.rng.uniform(math.log(low), math.log(high)))))
        return self.rng.uniform(low, high)


@dataclass
class Exploration:
    """Hyperparameters that building a hypermodel has discovered.

    Args:
        record: The hypermodel.
        ask: Function that returns a hyperparameter's default.
    """

    record: KerasTunerModel
    ask: Callable[[Any], Scalar]
    rows: list[Row] = field(default_factory=list, init=False)
    values: Mapping[str, Scalar] = field(default_factory=dict, init=False)
    _found: list[Any] = field(default_factory=list, init=False)
    _tried: set[tuple[str, Any]] = field(default_factory=set, init=False)
    _scopes: list[Sequence[Any]] = field(default_factory=list, init=False)
    _entered: list[Sequence[Any]] = field(default_factory=list, init=False)

    def explore(self) -> None:
        """Build with the defaults, in every conditional scope, and with each option of each hyperparameter.

        Raises:
            ModelError: No combination can be built.
        """
        began = time.monotonic()
        failure = self._build({})
        is_built = failure is None
        for _ in range(MAX_BUILDS):
            values = self._next_values()
            if values is None or time.monotonic() - began > MAX_BUILD_SECONDS:
                break
            is_built = self._build(values) is None or is_built
        if failure is not None and not is_built:
            raise failure

    def _build(self, values: Mapping[str, Scalar]) -> ModelError | None:
        hp = hyperparameters_for(self.record, self.ask)
        hp.values.update(values)
        network = try_build(self.record, hp)
        keras.utils.clear_session(free_memory=False)
        if not values:
            self.values = dict(hp.values)
        for each in hp.space:
            if not any(each.name == other.name and _is_same(each, other) for other in self._found):
                self._found.append(each)
                self.rows.append(_row(each, values))
            if hp.is_active(each):
                self._tried.add((each.name, hp.values.get(each.name)))
        self._entered += hp.active_scopes
        self._scopes += hp.inactive_scopes
        return network if isinstance(network, ModelError) else None

    def _next_values(self) -> dict[str, Scalar] | None:
        """Return the values of a build that may discover more; None if there is none."""
        for scope in self._scopes:
            if scope not in self._entered:
                self._entered.append(scope)
                return _values_entering(scope)
        for hp in self._found:
            for option in _branch_values(hp):
                if (hp.name, option) not in self._tried:
                    self._tried.add((hp.name, option))
                    return {**_values_entering(hp.conditions), hp.name: option}
        return None


def _values_entering(scope: Sequence[Any]) -> dict[str, Scalar]:
    """Return values under which a scope is active: those that satisfy all its conditions."""
    allowed: dict[str, list[Any]] = {}
    for condition in scope:
        before = allowed.get(condition.name, condition.values)
        allowed[condition.name] = [each for each in before if each in condition.values] or list(condition.values)
    return {name: values[0] for name, values in allowed.items()}


def _branch_values(hp: Any) -> list[Scalar]:
    """Return the options of a hyperparameter, or the bounds of an integer: a loop or branch may depend on them."""
    kind = type(hp).__name__
    if kind in ("Choice", "Boolean"):
        return possible_values(hp)
    return [hp.min_value, hp.max_value] if kind == "Int" else []


def _is_same(one: Any, other: Any) -> bool:
    return bool(one.conditions == other.conditions) and describe_hyperparameter(one) == describe_hyperparameter(other)


def _row(hp: Any, values: Mapping[str, Scalar]) -> Row:
    """Return the table row of a hyperparameter; without conditions of its own, with the values that led to it."""
    when = describe_conditions(hp) or ", ".join(f"{name}={value}" for name, value in values.items() if name != hp.name)
    when = when.replace("=", " = ").replace(", ", " and ").replace("|", " or ")
    return Row(hp.name, describe_values(hp), format_value(hp.default), when)
