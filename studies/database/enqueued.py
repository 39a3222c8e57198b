"""Checks the values of enqueued trials: values outside the space fail that trial only."""

import difflib
from collections.abc import Mapping
from typing import Any

import optuna

from spaces.errors import SearchError
from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import MISSING, Float, Int, Parameter, Scalar
from spaces.scalars import is_real, same_value, short_repr, to_python
from spaces.space import Space, fixed_values, flatten


class RefusedValues(SearchError):
    """A trial was enqueued with values outside the space."""


def given_values(trial: optuna.Trial) -> dict[str, Any]:
    """Return the values that a trial was enqueued with, by name.

    Raises:
        RefusedValues: They are not a dict of values by name.
    """
    given: Any = trial._fixed_params
    if not isinstance(given, dict):
        raise RefusedValues(f"enqueued with {short_repr(given)}, which is not a dict of parameters")
    return dict(given)


def accept_values(trial: optuna.Trial, name: str, parameter: Parameter, given: Mapping[str, Any]) -> None:
    """Use the value that a trial was enqueued with, if there is one for this parameter.

    Raises:
        RefusedValues: It is not one of the parameter's values.
    """
    if name not in given:
        return
    value = possible_value(parameter, given[name])
    if value is MISSING:
        raise RefusedValues(
            f"{name}: enqueued with {short_repr(given[name])}, which is not one of its values: {parameter!r}"
        )
    trial._fixed_params[name] = value


def possible_value(parameter: Parameter, value: Any) -> Any:
    """Return the parameter's value that equals a given one, such as 32 for 32.0; MISSING if there is none."""
    value = to_python(value)
    if isinstance(parameter, Float):
        return parameter.exact(value) if parameter.contains(value) else MISSING
    if parameter.contains(value):
        return value
    if isinstance(parameter, Int):
        return int(value) if isinstance(value, float) and parameter.contains(_whole(value)) else MISSING
    numbers = [name for name in parameter.names if is_real(name)]
    return next((name for name in numbers if is_real(value) and name == value), MISSING)


def refuse_unused(space: Space, given: Mapping[str, Any], active: Mapping[str, Scalar]) -> None:
    """Check that every enqueued value of a trial belongs to a parameter that the selected options have: an active one.

    Raises:
        RefusedValues: A value belongs to a fixed or unknown parameter, or to one that these options do not have.
    """
    fixed = fixed_values(space)
    values = given if isinstance(given, Mapping) else {}
    for name in sorted(map(str, given)):
        if name not in active and not (name in fixed and _is_equal(fixed[name], values.get(name))):
            raise RefusedValues(
                f"{name}: enqueued with {short_repr(values.get(name))}, {_unused(space, name, active, fixed)}"
            )


def _unused(space: Space, name: str, active: Mapping[str, Scalar], fixed: Mapping[str, Any]) -> str:
    parameters = {each.name: each for each in flatten(space)}
    if name in parameters:
        missed = next(
            (each for each in parameters[name].conditions if not same_value(active.get(each[0]), each[1])), None
        )
        if missed is not None:
            return f"but it exists only with {missed[0]}={missed[1]!r}: enqueue {missed[0]} too"
    if name in fixed:
        return f"but the space fixes it to {short_repr(fixed[name])}"
    if isinstance(space.model, KerasTunerModel):
        return "but the hypermodel does not ask for it with the other values"
    nearest = difflib.get_close_matches(name, parameters, n=1)
    return f"but the space has no such parameter{f': did you mean {nearest[0]}?' if nearest else ''}"


def _whole(value: float) -> int | None:
    return int(value) if is_real(value) and value == int(value) else None


def _is_equal(fixed: Any, value: Any) -> bool:
    if is_real(fixed) and is_real(to_python(value)):
        return bool(fixed == value)
    return same_value(fixed, to_python(value))
