"""The kinds of parameters: integers, real numbers and choices, each with a default.

A parameter does not check its values when it is created, because it does not know its name yet. `Space` checks every
parameter while the space file is read, and raises with the dotted name and the text that `problem` returns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from spaces.argument_errors import checked_arguments
from spaces.choices import Choice
from spaces.scalars import MISSING, Scalar, fits_a_float, is_real, is_whole, short_repr, to_python

__all__ = ["MISSING", "PARAMETERS", "Choice", "Float", "Int", "Parameter", "Scalar"]


@checked_arguments
@dataclass(frozen=True, repr=False)
class Int:
    """An integer between two bounds, both included.

    Args:
        low: Smallest value.
        high: Largest value; `(high - low)` must be a multiple of `step`.
        step: Distance between neighbouring values, at least 1.
        log: Sample on a logarithmic scale; requires `low >= 1` and no `step`.
        default: The baseline's value; the default is the middle of the range (its geometric mean when `log`).
    """

    low: int
    high: int
    step: int = 1
    log: bool = False
    default: int | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "step", "log", "default"):
            object.__setattr__(self, name, to_python(getattr(self, name)))
        if self.default is None and self.problem() is None:
            object.__setattr__(self, "default", self._middle())

    def _middle(self) -> int:
        if self.log:
            return min(self.high, max(self.low, round(math.sqrt(self.low * self.high))))
        return self.low + (self.high - self.low) // self.step // 2 * self.step

    def problem(self) -> str | None:
        """Return the error of this parameter, or None."""
        for name in ("low", "high", "step"):
            if not is_whole(getattr(self, name)):
                return f"got {name}={short_repr(getattr(self, name))}, expected an integer"
            if not fits_a_float(getattr(self, name)):
                return f"got {name}={short_repr(getattr(self, name))}, expected at most 2**53"
        if self.step < 1:
            return f"got step={self.step}, expected at least 1"
        if found := _range_problem(self.low, self.high, self.log, self.step != 1):
            return found
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            return f"step={self.step} does not reach high={self.high} from low={self.low}\nhint: set high={reached}"
        if self.default is not None and not self.contains(self.default):
            return f"got default={short_repr(self.default)}, expected a value of {self!r}"
        return None

    def contains(self, value: object) -> bool:
        """Return True if this parameter can take a value."""
        return (
            is_whole(value)
            and self.low <= value <= self.high  # type: ignore[operator]
            and (value - self.low) % self.step == 0  # type: ignore[operator]
        )

    def values(self) -> Sequence[Scalar]:
        """Return every value, in order."""
        return range(self.low, self.high + 1, self.step)

    @property
    def count(self) -> float:
        """The number of values."""
        return (self.high - self.low) // self.step + 1

    def __repr__(self) -> str:
        return _number_repr(self, step_default=1)


@checked_arguments
@dataclass(frozen=True, repr=False)
class Float:
    """A real number between two bounds, both included.

    Args:
        low: Smallest value.
        high: Largest value.
        step: Distance between neighbouring values; None for every value between the bounds.
        log: Sample on a logarithmic scale; requires `low > 0` and no `step`.
        default: The baseline's value; the default is the middle of the range (its geometric mean when `log`).
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    default: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "step", "log", "default"):
            value = to_python(getattr(self, name))
            # Adding zero makes -0.0 the zero that it is equal to.
            object.__setattr__(self, name, float(value) + 0.0 if is_real(value) else value)
        if self.problem() is not None:
            return
        if self.step is not None:
            object.__setattr__(self, "high", self._at(self._steps()))
        object.__setattr__(self, "default", self._middle() if self.default is None else self.exact(self.default))

    def _middle(self) -> float:
        if self.step is not None:
            return self._at(self._steps() // 2)
        middle = math.sqrt(self.low) * math.sqrt(self.high) if self.log else self.low / 2 + self.high / 2
        return min(self.high, max(self.low, float(f"{middle:.6g}")))

    def _position(self, value: float) -> float:
        """Return the number of steps from `low` to a value: an integer, but for rounding, if the value exists."""
        return (value - self.low) / self.step if self.step else 0.0

    def _steps(self) -> int:
        return round(self._position(self.high))

    def _at(self, index: int) -> float:
        """Return the value `index` steps above `low`, as the decimal fraction that a reader expects."""
        return float(Decimal(repr(self.low)) + index * Decimal(repr(self.step)))

    def exact(self, value: float) -> float:
        """Return the existing value nearest to one that differs from it by rounding."""
        return float(value) + 0.0 if self.step is None else self._at(round(self._position(value)))

    def problem(self) -> str | None:
        """Return the error of this parameter, or None."""
        for name in ("low", "high"):
            if not is_real(getattr(self, name)):
                return f"got {name}={short_repr(getattr(self, name))}, expected a finite number"
        if self.step is not None and (not is_real(self.step) or self.step <= 0):
            return f"got step={short_repr(self.step)}, expected a number above 0"
        if found := _range_problem(self.low, self.high, self.log, self.step is not None):
            return found
        if found := self._step_problem():
            return found
        if self.default is not None and not self.contains(self.default):
            return f"got default={short_repr(self.default)}, expected a value of {self!r}"
        return None

    def _step_problem(self) -> str | None:
        position = self._position(self.high)
        if position > 1e9:
            return f"step={self.step} makes more than 1e9 values\nhint: remove step"
        if not _is_near_whole(position):
            reached = self._at(math.floor(position))
            return f"step={self.step} does not reach high={self.high} from low={self.low}\nhint: set high={reached}"
        return None

    def contains(self, value: object) -> bool:
        """Return True if this parameter can take a value, which may differ by rounding under a step."""
        if not is_real(value) or not self.low <= value <= self.high:  # type: ignore[operator]
            return False
        return _is_near_whole(self._position(value))  # type: ignore[arg-type]

    def values(self) -> Sequence[Scalar]:
        """Return every value, in order; none if there are infinitely many."""
        if self.step is not None:
            return [self._at(index) for index in range(self._steps() + 1)]
        return [self.low] if self.low == self.high else []

    @property
    def count(self) -> float:
        """The number of values; infinity without a step."""
        return math.inf if self.step is None and self.low < self.high else self._steps() + 1

    def __repr__(self) -> str:
        return _number_repr(self, step_default=None)


Parameter: TypeAlias = Int | Float | Choice
PARAMETERS = (Int, Float, Choice)


def _range_problem(low: float, high: float, log: object, stepped: bool) -> str | None:
    if not isinstance(log, bool):
        return f"got log={short_repr(log)}, expected True or False"
    if log and stepped:
        return "got both log and step\nhint: remove one of them"
    if low > high:
        return f"got low={low} and high={high}, expected low to be at most high"
    if log and low <= 0:
        return f"got low={low} and log=True, expected low above 0"
    return None


def _is_near_whole(position: float) -> bool:
    return abs(position - round(position)) < 1e-6


def _number_repr(parameter: Int | Float, step_default: float | None) -> str:
    parts = [f"{parameter.low!r}", f"{parameter.high!r}"]
    if parameter.step != step_default:
        parts.append(f"step={parameter.step!r}")
    if parameter.log:
        parts.append(f"log={parameter.log!r}")
    if parameter.default is not None:
        parts.append(f"default={parameter.default!r}")
    return f"{type(parameter).__name__}({', '.join(parts)})"
