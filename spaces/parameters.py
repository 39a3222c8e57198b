"""The holes of a recipe: whole numbers, real numbers and choices, each with a default.

A parameter does not raise when it is made, since it cannot know its own name yet. `Space` checks every parameter
while the space file is read, and raises with the dotted name and the text that `problem` returns.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
"""What a parameter's value is stored as: a JSON scalar."""


class Missing:
    """The type of `MISSING`, which stands for "not given" where `None` is a value."""

    def __repr__(self) -> str:
        return "<not given>"


MISSING = Missing()


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
                return f"{name} must be a whole number, got {getattr(self, name)!r}"
        if self.step < 1:
            return f"step must be at least 1, got {self.step}"
        if self.log and self.step != 1:
            return "log and step exclude each other: give one of them"
        if found := _range_problem(self.low, self.high, self.log):
            return found
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            return f"step={self.step} does not reach high={self.high} from low={self.low}: use high={reached}"
        if self.default is not None and not self.contains(self.default):
            return f"default={self.default!r} is not one of its values: {self!r}"
        return None

    def contains(self, value: object) -> bool:
        """Whether `value` is one that this parameter can take."""
        return (
            is_whole(value)
            and self.low <= value <= self.high  # type: ignore[operator]
            and (value - self.low) % self.step == 0  # type: ignore[operator]
        )

    def values(self) -> list[Scalar]:
        """Every value, in order."""
        return list(range(self.low, self.high + 1, self.step))

    @property
    def count(self) -> float:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    def __repr__(self) -> str:
        return _number_repr(self, step_default=1)


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
        for name in ("low", "high", "step", "default"):
            value = getattr(self, name)
            if is_whole(value):
                object.__setattr__(self, name, float(value))
        if self.default is None and self.problem() is None:
            object.__setattr__(self, "default", self._middle())

    def _middle(self) -> float:
        if self.log:
            middle = math.exp((math.log(self.low) + math.log(self.high)) / 2)
            return min(self.high, max(self.low, float(f"{middle:.6g}")))
        if self.step is None:
            return self.low + (self.high - self.low) / 2
        return self._at(self._steps() // 2)

    def _steps(self) -> int:
        return round((self.high - self.low) / self.step) if self.step else 0

    def _at(self, index: int) -> float:
        """The value `index` steps above `low`, without the noise of binary fractions."""
        return float(f"{self.low + index * (self.step or 0.0):.12g}")

    def problem(self) -> str | None:
        """What is wrong with this parameter, or None."""
        for name in ("low", "high"):
            if not is_real(getattr(self, name)):
                return f"{name} must be a finite number, got {getattr(self, name)!r}"
        if self.step is not None and (not is_real(self.step) or self.step <= 0):
            return f"step must be a number above 0, got {self.step!r}"
        if self.log and self.step is not None:
            return "log and step exclude each other: give one of them"
        if found := _range_problem(self.low, self.high, self.log):
            return found
        if self.step is not None and not _near(self.low + self._steps() * self.step, self.high):
            reached = self._at(math.floor((self.high - self.low) / self.step))
            return f"step={self.step} does not reach high={self.high} from low={self.low}: use high={reached}"
        if self.default is not None and not self.contains(self.default):
            return f"default={self.default!r} is not one of its values: {self!r}"
        return None

    def contains(self, value: object) -> bool:
        """Whether `value` is one that this parameter can take."""
        if not is_real(value) or not self.low <= value <= self.high:  # type: ignore[operator]
            return False
        if self.step is None:
            return True
        index = round((value - self.low) / self.step)  # type: ignore[operator]
        return _near(self.low + index * self.step, value)  # type: ignore[arg-type]

    def values(self) -> list[Scalar]:
        """Every value, in order; empty when there are infinitely many."""
        if self.step is not None:
            return [self._at(index) for index in range(self._steps() + 1)]
        return [self.low] if self.low == self.high else []

    @property
    def count(self) -> float:
        """How many values there are; infinity without a step."""
        return len(self.values()) or math.inf

    def __repr__(self) -> str:
        return _number_repr(self, step_default=None)


@dataclass(frozen=True, repr=False, init=False)
class Choice:
    """One of several options: plain values, or records that may hold parameters of their own.

    Each option has a name, a JSON scalar, which is all that the database ever sees: the option itself when it is
    a scalar, a record's own name (`cnn`, `mobilenetv2`), or the keyword it was given under.

    Args:
        *options: Options that name themselves.
        default: The baseline's option, or its name; when not given, the first.
        **named: Options named by their keyword, for two records of one kind: `Choice(small=CNN(..), big=CNN(..))`.
    """

    names: tuple[Scalar, ...]
    options: tuple[Any, ...]
    default: Scalar

    def __init__(self, *options: Any, default: Any = MISSING, **named: Any) -> None:
        names = tuple(option_name(option) for option in options) + tuple(named)
        every = options + tuple(named.values())
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "options", every)
        object.__setattr__(self, "default", _default_name(names, every, default))

    def problem(self) -> str | None:
        """What is wrong with this parameter, or None."""
        if not self.names:
            return "Choice() has no options: give at least one"
        for option, name in zip(self.options, self.names, strict=True):
            if isinstance(option, Int | Float | Choice):
                return f"an option of a Choice cannot be a parameter itself, got {option!r}: put it in a record"
            if isinstance(name, float) and not math.isfinite(name):
                return f"an option must be finite, got {name!r}"
        for index, name in enumerate(self.names):
            # Optuna compares options with ==, so 1, 1.0 and True would be one option to it.
            if name in self.names[:index]:
                return f"option {name!r} stands twice: remove one, or name both, as in Choice(a=..., b=...)"
        if self.default not in self.names:
            return f"default={self.default!r} is not one of its options: {_listed(self.names)}"
        return None

    def contains(self, value: object) -> bool:
        """Whether `value` is the name of an option."""
        return any(value == name and type(value) is type(name) for name in self.names)

    def option(self, name: Scalar) -> Any:
        """The option of that name."""
        return self.options[self.names.index(name)]

    def values(self) -> list[Scalar]:
        """The names of all options, in order."""
        return list(self.names)

    @property
    def count(self) -> float:
        """How many options there are."""
        return len(self.names)

    def __repr__(self) -> str:
        parts = [
            repr(option) if option_name(option) == name else f"{name}={option!r}"
            for name, option in zip(self.names, self.options, strict=True)
        ]
        return f"Choice({', '.join([*parts, f'default={self.default!r}'])})"


Parameter: TypeAlias = Int | Float | Choice
PARAMETERS = (Int, Float, Choice)


def option_name(option: Any) -> Scalar:
    """The name under which an option is stored: itself when a JSON scalar, else its own short name."""
    if option is None or isinstance(option, str | int | float | bool):
        return option
    name = getattr(option, "option_name", None) or getattr(option, "__name__", None)
    return name if isinstance(name, str) else repr(option)


def is_whole(value: object) -> bool:
    """Whether `value` is a whole number; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_real(value: object) -> bool:
    """Whether `value` is a finite number; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _default_name(names: tuple[Scalar, ...], options: tuple[Any, ...], default: Any) -> Any:
    if isinstance(default, Missing):
        return names[0] if names else None
    for name, option in zip(names, options, strict=True):
        if type(default) is type(name) and default == name:
            return name
        if type(default) is type(option) and default == option:
            return name
    return default


def _range_problem(low: float, high: float, log: bool) -> str | None:
    if low > high:
        return f"low must not be above high, got low={low} and high={high}"
    if log and low <= 0:
        return f"log needs low above 0, got low={low}"
    return None


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def _listed(values: tuple[Scalar, ...]) -> str:
    return ", ".join(repr(value) for value in values)


def _number_repr(parameter: Int | Float, step_default: float | None) -> str:
    parts = [f"{parameter.low!r}", f"{parameter.high!r}"]
    if parameter.step != step_default:
        parts.append(f"step={parameter.step!r}")
    if parameter.log:
        parts.append("log=True")
    if parameter.default is not None:
        parts.append(f"default={parameter.default!r}")
    return f"{type(parameter).__name__}({', '.join(parts)})"
