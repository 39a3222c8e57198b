"""Builds a hypermodel under several combinations of values, to list its hyperparameters and to see if any builds."""

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
from studies.keras_tuner.mapping import conditions, in_words, map_hyperparameter, possible_values, word
from studies.keras_tuner.models import build_network
from studies.models.user_code import ends_trial

MOST_BUILDS = 30
MOST_SECONDS = 20.0
"""How often and how long a hypermodel is built to come upon the hyperparameters that its defaults do not lead to."""

OTHER_COMBINATIONS = 10
"""How many other combinations are tried where the defaults cannot be built."""


def built(record: KerasTunerModel, hp: SuggestedHyperParameters) -> keras.Model | ModelError:
    """The network under some values, or why these cannot be built.

    Raises:
        ModelError: The hypermodel is wrong whatever the values are, or its hyperparameters cannot be searched.
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


def can_be_built(record: KerasTunerModel, fits: Callable[[keras.Model], Any] = lambda network: None) -> bool:
    """Whether any of some other combinations than the defaults can be built, and the network fits its purpose."""
    return next(values_that_fit(record, fits), None) is not None


def values_that_fit(record: KerasTunerModel, fits: Callable[[keras.Model], Any]) -> Iterator[Mapping[str, Scalar]]:
    """Yield other combinations than the defaults that can be built, in a fixed order.

    Args:
        record: The hypermodel.
        fits: Raises `ModelError` for a network that does not fit its purpose.
    """
    for seed in range(OTHER_COMBINATIONS):
        hp = hyperparameters_for(record.with_values({}), _Drawn(random.Random(seed)))
        network = built(record, hp)
        if isinstance(network, ModelError):
            continue
        try:
            fits(network)
        except ModelError:
            continue
        yield hp.values


@dataclass
class _Drawn:
    """Draws any value of a hyperparameter.

    Args:
        source: Of chance.
    """

    source: random.Random

    def __call__(self, hp: Any) -> Scalar:
        found = map_hyperparameter(hp)
        return hp.default if found is None else found.value(self._one_of(found.parameter))

    def _one_of(self, parameter: Parameter) -> Scalar:
        match parameter:
            case Choice():
                return self.source.choice(parameter.names)
            case Int() | Float() if values := parameter.values():
                return self.source.choice(values)
        low, high = float(parameter.low), float(parameter.high)
        if parameter.log:
            return min(high, max(low, math.exp(self.source.uniform(math.log(low), math.log(high)))))
        return self.source.uniform(low, high)


@dataclass
class Explored:
    """What building a hypermodel has come upon.

    Args:
        record: The hypermodel.
        ask: Gives a hyperparameter its default.
    """

    record: KerasTunerModel
    ask: Callable[[Any], Scalar]
    rows: list[Row] = field(default_factory=list, init=False)
    values: Mapping[str, Scalar] = field(default_factory=dict, init=False)
    _met: list[Any] = field(default_factory=list, init=False)
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
        for _ in range(MOST_BUILDS):
            values = self._next()
            if values is None or time.monotonic() - began > MOST_SECONDS:
                break
            is_built = self._build(values) is None or is_built
        if failure is not None and not is_built:
            raise failure

    def _build(self, values: Mapping[str, Scalar]) -> ModelError | None:
        hp = hyperparameters_for(self.record, self.ask)
        hp.values.update(values)
        network = built(self.record, hp)
        keras.utils.clear_session(free_memory=False)
        if not values:
            self.values = dict(hp.values)
        for each in hp.space:
            if not any(each.name == other.name and _is_same(each, other) for other in self._met):
                self._met.append(each)
                self.rows.append(_row(each, values))
            if hp.is_active(each):
                self._tried.add((each.name, hp.values.get(each.name)))
        self._entered += hp.active_scopes
        self._scopes += hp.inactive_scopes
        return network if isinstance(network, ModelError) else None

    def _next(self) -> dict[str, Scalar] | None:
        """The values of a build that may come upon more; None when there is none."""
        for scope in self._scopes:
            if scope not in self._entered:
                self._entered.append(scope)
                return _entering(scope)
        for hp in self._met:
            for option in _ends(hp):
                if (hp.name, option) not in self._tried:
                    self._tried.add((hp.name, option))
                    return {**_entering(hp.conditions), hp.name: option}
        return None


def _entering(scope: Sequence[Any]) -> dict[str, Scalar]:
    """The values under which a scope is active: those that all its conditions on a name allow."""
    allowed: dict[str, list[Any]] = {}
    for condition in scope:
        before = allowed.get(condition.name, condition.values)
        allowed[condition.name] = [each for each in before if each in condition.values] or list(condition.values)
    return {name: values[0] for name, values in allowed.items()}


def _ends(hp: Any) -> list[Scalar]:
    """The options of a hyperparameter, or the bounds of a whole number: what a loop or branch may depend on."""
    kind = type(hp).__name__
    if kind in ("Choice", "Boolean"):
        return possible_values(hp)
    return [hp.min_value, hp.max_value] if kind == "Int" else []


def _is_same(one: Any, other: Any) -> bool:
    return bool(one.conditions == other.conditions) and describe_hyperparameter(one) == describe_hyperparameter(other)


def _row(hp: Any, values: Mapping[str, Scalar]) -> Row:
    """A hyperparameter in words; without conditions of its own, the values that have led to it."""
    when = conditions(hp) or ", ".join(f"{name}={value}" for name, value in values.items() if name != hp.name)
    return Row(
        hp.name, in_words(hp), word(hp.default), when.replace("=", " = ").replace(", ", " and ").replace("|", " or ")
    )
