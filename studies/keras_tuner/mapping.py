"""Maps a KerasTuner hyperparameter to a parameter of a study and its values back.

The mapping depends only on the hyperparameter and its conditions, so it is the same for every worker and trial.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spaces.parameters import Choice, Float, Int, Parameter, Scalar

_LONGEST_VALUES = 60
# Logarithms and binary fractions are not exact: 5 steps of 0.2 must reach 1.
_NOISE = 1e-8


@dataclass(frozen=True)
class MappedHyperparameter:
    """A hyperparameter as a parameter of a study.

    Args:
        name: Name in the study: the hyperparameter's, with any conditions in brackets.
        parameter: Parameter that the study draws; its default is the value nearest to the hyperparameter's default.
        value: Function that converts a drawn value to the hyperparameter's.
    """

    name: str
    parameter: Parameter
    value: Callable[[Any], Scalar]


def map_hyperparameter(hp: Any) -> MappedHyperparameter | None:
    """Return the parameter of a hyperparameter; None if it has only one value."""
    parameter, value = _KINDS[type(hp).__name__](hp)
    return None if parameter.count == 1 else MappedHyperparameter(parameter_name(hp), parameter, value)


def parameter_name(hp: Any) -> str:
    """Return the hyperparameter's name in a study, such as `units` or `units [kind=cnn|mlp]`."""
    return f"{hp.name} [{describe_conditions(hp)}]" if hp.conditions else str(hp.name)


def describe_conditions(hp: Any) -> str:
    """Return the conditions under which it exists, such as `kind=cnn|mlp, deep=True`; empty if always."""
    return ", ".join(f"{each.name}={'|'.join(map(str, each.values))}" for each in hp.conditions)


def possible_values(hp: Any) -> list[Scalar]:
    """Return all values of a hyperparameter with a step or options, in order; empty for any other."""
    kind = type(hp).__name__
    if kind == "Fixed":
        return [hp.value]
    if kind in ("Choice", "Boolean"):
        return list(dict.fromkeys(hp.values))
    return [] if hp.step is None else [_value_at(hp, index) for index in range(_count_steps(hp) + 1)]


def describe_values(hp: Any) -> str:
    """Return the values of a hyperparameter in words, such as `8 to 16 in steps of 2` or `relu, tanh`."""
    listed = possible_values(hp)
    if type(hp).__name__ in ("Fixed", "Choice", "Boolean") or (hp.sampling != "linear" and listed):
        return ", ".join(map(format_value, listed))
    scale = "" if hp.sampling == "linear" else f", {hp.sampling}"
    step = "" if not listed or hp.step == 1 else f" in steps of {format_value(hp.step)}"
    return f"{format_value(hp.min_value)} to {format_value(listed[-1] if listed else hp.max_value)}{step}{scale}"


def format_value(value: Scalar) -> str:
    """Return a value as it is displayed."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def variant_name(name: str, parameter: Parameter) -> str:
    """Return a name that includes the values, for a parameter whose name already has other values in the study.

    A study allows one set of values per name, but options may depend on another hyperparameter.
    """
    if isinstance(parameter, Choice):
        values = "|".join(map(str, parameter.names))
        types = "".join(sorted({type(each).__name__[0] for each in parameter.names}))
    else:
        step = f" step {parameter.step}" if parameter.step not in (None, 1) else ""
        values = f"{parameter.low}..{parameter.high}{step}{' log' if parameter.log else ''}"
        types = type(parameter).__name__[0].lower()
    if len(values) > _LONGEST_VALUES:
        digest = hashlib.sha256(values.encode()).hexdigest()[:8]
        values = f"{values[:_LONGEST_VALUES]}…{digest}"
    return f"{name} {{{values}}}" if types in ("i", "s", "b") else f"{name} {{{types}: {values}}}"


def _identity(value: Any) -> Any:
    return value


def _map_options(hp: Any) -> tuple[Parameter, Callable[[Any], Scalar]]:
    options = possible_values(hp)
    return Choice(*options, default=hp.default), _identity


def _map_number(hp: Any) -> tuple[Parameter, Callable[[Any], Scalar]]:
    kind: Any = Int if type(hp).__name__ == "Int" else Float
    if hp.sampling != "linear" and hp.step is not None:
        return _map_positions(hp)
    low, high, step = hp.min_value, hp.max_value, hp.step
    if hp.sampling == "reverse_log":
        # reverse_log mirrors log: values are dense near the upper bound.
        mirrored = kind(low, high, log=True, default=_clip(low + high - hp.default, low, high))
        return mirrored, lambda drawn: _clip(low + high - drawn, low, high)
    if hp.sampling == "log" or step is None:
        return kind(low, high, log=hp.sampling == "log", default=_clip(hp.default, low, high)), _identity
    index = min(_count_steps(hp), max(0, round((hp.default - low) / step)))
    stepped = kind(low, _value_at(hp, _count_steps(hp)), step=step, default=_value_at(hp, index))
    # A study stores 0.1 + 2 * 0.1 with its rounding error.
    return stepped, stepped.exact if kind is Float else _identity


def _map_positions(hp: Any) -> tuple[Parameter, Callable[[Any], Scalar]]:
    """Map steps on a logarithmic scale, which a study lacks, to the positions of the values."""
    values: list[Any] = possible_values(hp)
    nearest = min(range(len(values)), key=lambda index: abs(values[index] - hp.default))
    return Int(0, len(values) - 1, default=nearest), lambda index: values[index]


def _count_steps(hp: Any) -> int:
    """Return the number of steps from the smallest to the largest reachable value."""
    if hp.sampling == "linear":
        steps: float = (hp.max_value - hp.min_value) / hp.step
    else:
        steps = math.log(hp.max_value / hp.min_value, hp.step)
    return math.floor(steps + _NOISE)


def _value_at(hp: Any, index: int) -> Scalar:
    if hp.sampling == "linear":
        value = hp.min_value + index * hp.step
    elif hp.sampling == "log":
        value = hp.min_value * hp.step**index
    else:
        value = hp.max_value + hp.min_value - hp.min_value * hp.step**index
    return int(value) if type(hp).__name__ == "Int" else float(f"{value:.12g}")


def _clip(value: Any, low: Any, high: Any) -> Any:
    return min(high, max(low, value))


_KINDS: dict[str, Callable[[Any], tuple[Parameter, Callable[[Any], Scalar]]]] = {
    "Fixed": _map_options,
    "Choice": _map_options,
    "Boolean": _map_options,
    "Int": _map_number,
    "Float": _map_number,
}
