"""JSON scalars: what a parameter's value is stored as, and how values are compared and shown."""

import sys
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
"""What a parameter's value is stored as: a JSON scalar."""


class Missing:
    """The type of `MISSING`, which stands for "not given" where `None` is a value."""

    def __repr__(self) -> str:
        return "<not given>"


MISSING = Missing()


def to_python(value: Any) -> Any:
    """The plain Python value of a NumPy scalar; anything else as it is."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    return value


def is_whole(value: object) -> bool:
    """Whether `value` is a whole number; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_real(value: object) -> bool:
    """Whether `value` is a number that a float can hold, so neither infinite nor NaN; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def same_value(a: Any, b: Any) -> bool:
    """Whether two values are equal and of one type: True is not 1. Arrays are never the same."""
    if type(a) is not type(b):
        return False
    equal = a == b
    return isinstance(equal, bool) and equal


def short_repr(value: Any, most: int = 160) -> str:
    """The value's `repr` on one line, cut off when long."""
    line = " ".join(repr(value).split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def fits_a_float(value: int) -> bool:
    """Whether a whole number is small enough to be stored exactly as a float, as Optuna stores it."""
    return abs(value) <= 2**53
