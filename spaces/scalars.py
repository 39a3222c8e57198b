"""JSON scalars, as which parameter values are stored: how they are recognised, compared and shown."""

import sys
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
"""A JSON scalar, as which the value of a parameter is stored."""


class Missing:
    """The type of `MISSING`, which stands for "not given" where `None` is a value."""

    def __repr__(self) -> str:
        return "<not given>"


MISSING = Missing()


def to_python(value: Any) -> Any:
    """Return the plain Python value of a NumPy scalar; anything else unchanged."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    return value


def is_whole(value: object) -> bool:
    """Return True for an integer; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_real(value: object) -> bool:
    """Return True for a finite number that a float can hold; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def same_value(a: Any, b: Any) -> bool:
    """Return True if two values are equal and of one type: True is not 1. Arrays are never the same."""
    if type(a) is not type(b):
        return False
    equal = a == b
    return isinstance(equal, bool) and equal


def short_repr(value: Any, most: int = 160) -> str:
    """Return the `repr` of a value on one line, cut after `most` characters."""
    line = " ".join(repr(value).split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def fits_a_float(value: int) -> bool:
    """Return True if an integer can be stored exactly as a float, as Optuna stores it."""
    return abs(value) <= 2**53
