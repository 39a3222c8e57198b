"""A hyperparameter of KerasTuner as a parameter of a study: its name there, its distribution, and the way back.

All of it follows from the hyperparameter and its conditions alone, so it is the same for every worker and trial.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spaces.parameters import Choice, Float, Int, Parameter, Scalar

_LONGEST_VALUES = 60
# Logarithms and binary fractions are not exact.
_NOISE = 1e-8


@dataclass(frozen=True)
class MappedHyperparameter:
    """A hyperparameter as a study sees it.

    Args:
        name: Its name in the study: its own, with its conditions in brackets where it has any.
        parameter: What the study draws; its default is the one nearest to the hyperparameter's.
        value: The hyperparameter's value for one of the parameter.
    """

    name: str
    parameter: Parameter
    value: Callable[[Any], Scalar]


def map_hyperparameter(hp: Any) -> MappedHyperparameter | None:
    """The parameter that stands for a hyperparameter; None for one of a single value, which needs none."""
    parameter, value = _KINDS[type(hp).__name__](hp)
    return None if parameter.count == 1 else MappedHyperparameter(parameter_name(hp), parameter, value)


def parameter_name(hp: Any) -> str:
    """The hyperparameter's name in a study, such as `units` or `units [kind=cnn|mlp]`."""
    return f"{hp.name} [{conditions(hp)}]" if hp.conditions else str(hp.name)


def conditions(hp: Any) -> str:
    """The conditions under which the hyperparameter exists, such as `kind=cnn|mlp, deep=True`; empty when always."""
    return ", ".join(f"{each.name}={'|'.join(map(str, each.values))}" for each in hp.conditions)


def possible_values(hp: Any) -> list[Scalar]:
    """Every value of a hyperparameter that has a step or options, in order; empty when there are too many to list."""
    kind = type(hp).__name__
    if kind == "Fixed":
        return [hp.value]
    if kind in ("Choice", "Boolean"):
        return list(dict.fromkeys(hp.values))
    return [] if hp.step is None else [_stepped(hp, index) for index in range(_steps(hp) + 1)]


def in_words(hp: Any) -> str:
    """The values of a hyperparameter, such as `8 to 16 in steps of 2` or `relu, tanh`."""
    listed = possible_values(hp)
    if type(hp).__name__ in ("Fixed", "Choice", "Boolean") or (hp.sampling != "linear" and listed):
        return ", ".join(map(word, listed))
    scale = "" if hp.sampling == "linear" else f", {hp.sampling}"
    step = "" if not listed or hp.step == 1 else f" in steps of {word(hp.step)}"
    return f"{word(hp.min_value)} to {word(listed[-1] if listed else hp.max_value)}{step}{scale}"


def word(value: Scalar) -> str:
    """A value as it is shown."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def variant(name: str, parameter: Parameter) -> str:
    """The name in a study of a parameter whose values are not those that the name stands for already.

    Options that depend on another hyperparameter are told apart so, since a study knows one set of values by a name.
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


def _kept(value: Any) -> Any:
    return value


def _options(hp: Any) -> tuple[Parameter, Callable[[Any], Scalar]]:
    options = possible_values(hp)
    return Choice(*options, default=hp.default), _kept


def _number(hp: Any) -> tuple[Parameter, Callable[[Any], Scalar]]:
    kind: Any = Int if type(hp).__name__ == "Int" else Float
    if hp.sampling != "linear" and hp.step is not None:
        return _index(hp)
    low, high, step = hp.min_value, hp.max_value, hp.step
    if hp.sampling == "reverse_log":
        # KerasTuner's reverse_log is the mirror image of log: dense near the upper bound.
        mirrored = kind(low, high, log=True, default=_within(low + high - hp.default, low, high))
        return mirrored, lambda drawn: _within(low + high - drawn, low, high)
    if hp.sampling == "log" or step is None:
        return kind(low, high, log=hp.sampling == "log", default=_within(hp.default, low, high)), _kept
    index = min(_steps(hp), max(0, round((hp.default - low) / step)))
    stepped = kind(low, _stepped(hp, _steps(hp)), step=step, default=_stepped(hp, index))
    # A study stores 0.1 + 2 * 0.1 with the noise of binary fractions.
    return stepped, stepped.exact if kind is Float else _kept


def _index(hp: Any) -> tuple[Parameter, Callable[[Any], Scalar]]:
    """Steps on a logarithmic scale, of which a study knows nothing: it draws the position among the values."""
    values: list[Any] = possible_values(hp)
    nearest = min(range(len(values)), key=lambda index: abs(values[index] - hp.default))
    return Int(0, len(values) - 1, default=nearest), lambda index: values[index]


def _steps(hp: Any) -> int:
    """How many steps lead from the smallest to the largest value that can be reached."""
    if hp.sampling == "linear":
        # With the noise, since the upper bound of Float(0, 1, 0.2) is meant to be reached.
        steps: float = (hp.max_value - hp.min_value) / hp.step
    else:
        steps = math.log(hp.max_value / hp.min_value, hp.step)
    return math.floor(steps + _NOISE)


def _stepped(hp: Any, index: int) -> Scalar:
    if hp.sampling == "linear":
        value = hp.min_value + index * hp.step
    elif hp.sampling == "log":
        value = hp.min_value * hp.step**index
    else:
        value = hp.max_value + hp.min_value - hp.min_value * hp.step**index
    return int(value) if type(hp).__name__ == "Int" else float(f"{value:.12g}")


def _within(value: Any, low: Any, high: Any) -> Any:
    return min(high, max(low, value))


_KINDS: dict[str, Callable[[Any], tuple[Parameter, Callable[[Any], Scalar]]]] = {
    "Fixed": _options,
    "Choice": _options,
    "Boolean": _options,
    "Int": _number,
    "Float": _number,
}
