"""The kinds of parameters: integers, real numbers and choices, each with a default.

A parameter does not raise for its values when it is made, since it cannot know its own name yet. `Space` checks
every parameter while the space file is read, and raises with the dotted name and the text that `problem` returns.
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
    """A whole number between two bounds, both included.

    Args:
        low: Smallest value.
        high: Largest value; `(high - low)` must be a multiple of `step`.
        step: Distance between neighbouring values, at least 1.
        log: Sample on a logarithmic scale; needs `low >= 1` and no `step`.
        default: The baseline's value; when not given, the middle of the range (its geometric mean when `log`).
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
        """What is wrong with this parameter, or None."""
        for name in ("low", "high", "step"):
            if not is_whole(getattr(self, name)):
                return f"{name} must be a whole number, got {short_repr(getattr(self, name))}"
            if not fits_a_float(getattr(self, name)):
                return f"{name} must be at most 2**53, which is stored exactly: got {short_repr(getattr(self, name))}"
        if self.step < 1:
            return f"step must be at least 1, got {self.step}"
        if found := _range_problem(self.low, self.high, self.log, self.step != 1):
            return found
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            return f"step={self.step} does not reach high={self.high} from low={self.low}: use high={reached}"
        if self.default is not None and not self.contains(self.default):
            return f"default={short_repr(self.default)} is not one of its values: {self!r}"
        return None

    def contains(self, value: object) -> bool:
        """Whether `value` is one that this parameter can take."""
        return (
            is_whole(value)
            and self.low <= value <= self.high  # type: ignore[operator]
            and (value - self.low) % self.step == 0  # type: ignore[operator]
        )

    def values(self) -> Sequence[Scalar]:
        """Every value, in order."""
        return range(self.low, self.high + 1, self.step)

    @property
    def count(self) -> float:
        """How many values there are."""
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
        step: Distance between neighbouring values; when not given, every value between the bounds is possible.
        log: Sample on a logarithmic scale; needs `low > 0` and no `step`.
        default: The baseline's value; when not given, the middle of the range (its geometric mean when `log`).
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
        """How many steps `value` lies above `low`; whole for the values that exist, but for binary noise."""
        return (value - self.low) / self.step if self.step else 0.0

    def _steps(self) -> int:
        return round(self._position(self.high))

    def _at(self, index: int) -> float:
        """The value `index` steps above `low`, without the noise of binary fractions."""
        return float(Decimal(repr(self.low)) + index * Decimal(repr(self.step)))

    def exact(self, value: float) -> float:
        """The value that exists nearest to one that differs from it by binary noise."""
        return float(value) + 0.0 if self.step is None else self._at(round(self._position(value)))

    def problem(self) -> str | None:
        """What is wrong with this parameter, or None."""
        for name in ("low", "high"):
            if not is_real(getattr(self, name)):
                return f"{name} must be a finite number, got {short_repr(getattr(self, name))}"
        if self.step is not None and (not is_real(self.step) or self.step <= 0):
            return f"step must be a number above 0, got {short_repr(self.step)}"
        if found := _range_problem(self.low, self.high, self.log, self.step is not None):
            return found
        if found := self._step_problem():
            return found
        if self.default is not None and not self.contains(self.default):
            return f"default={short_repr(self.default)} is not one of its values: {self!r}"
        return None

    def _step_problem(self) -> str | None:
        position = self._position(self.high)
        if position > 1e9:
            return f"step={self.step} makes more than 1e9 values: leave it out"
        if not _is_near_whole(position):
            reached = self._at(math.floor(position))
            return f"step={self.step} does not reach high={self.high} from low={self.low}: use high={reached}"
        return None

    def contains(self, value: object) -> bool:
        """Whether `value` is one that this parameter can take, but for binary noise under a step."""
        if not is_real(value) or not self.low <= value <= self.high:  # type: ignore[operator]
            return False
        return _is_near_whole(self._position(value))  # type: ignore[arg-type]

    def values(self) -> Sequence[Scalar]:
        """Every value, in order; empty when there are infinitely many."""
        if self.step is not None:
            return [self._at(index) for index in range(self._steps() + 1)]
        return [self.low] if self.low == self.high else []

    @property
    def count(self) -> float:
        """How many values there are; infinity without a step."""
        return math.inf if self.step is None and self.low < self.high else self._steps() + 1

    def __repr__(self) -> str:
        return _number_repr(self, step_default=None)


Parameter: TypeAlias = Int | Float | Choice
PARAMETERS = (Int, Float, Choice)


def _range_problem(low: float, high: float, log: object, stepped: bool) -> str | None:
    if not isinstance(log, bool):
        return f"log must be True or False, got {short_repr(log)}"
    if log and stepped:
        return "log and step exclude each other: give one of them"
    if low > high:
        return f"low must not be above high, got low={low} and high={high}"
    if log and low <= 0:
        return f"log needs low above 0, got low={low}"
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
