"""The table of the parameters of a space, as text."""

from dataclasses import dataclass

from spaces.parameters import Choice, Float, Int, Parameter
from spaces.scalars import Scalar
from spaces.space import Space, flatten


@dataclass(frozen=True)
class Row:
    """A parameter as text.

    Args:
        name: Dotted name, such as `backbone.cnn.filters`.
        values: Its values, such as `16 to 64 in steps of 16`, `0.0001 to 0.01, log` or `3, 5`.
        default: The baseline's value.
        condition: The options that it depends on, such as `backbone = cnn`; empty if it always exists.
    """

    name: str
    values: str
    default: str
    condition: str


def rows(space: Space) -> list[Row]:
    """Return one row for each parameter, in the order of `flatten`."""
    return [
        Row(
            each.name,
            _values(each.parameter),
            _word(each.parameter.default),
            " and ".join(f"{name} = {_word(option)}" for name, option in each.conditions),
        )
        for each in flatten(space)
    ]


def _values(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return ", ".join(map(_word, parameter.names))
    if parameter.count == 1:
        return _word(parameter.low)
    return f"{_word(parameter.low)} to {_word(parameter.high)}{_scale(parameter)}"


def _scale(parameter: Int | Float) -> str:
    if parameter.log:
        return ", log"
    if parameter.step is None or (isinstance(parameter, Int) and parameter.step == 1):
        return ""
    return f" in steps of {_word(parameter.step)}"


def _word(value: Scalar) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
