"""`Choice`: one of several options, of which the database stores only the name."""

import keyword
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spaces.scalars import MISSING, Scalar, same_value, short_repr, to_python


@dataclass(frozen=True, repr=False, init=False)
class Choice:
    """One of several options: plain values, or records that may hold parameters of their own.

    Each option has a name, a JSON scalar, which is all that the database stores: the option itself if it is a scalar,
    a record's own name (`cnn`, `mobilenetv2`), or the keyword that it was passed under.

    Args:
        *options: Options that name themselves.
        default: The baseline's option, or its name; the default is the first.
        **named: Options named by their keyword, for two records of one kind: `Choice(small=CNN(..), big=CNN(..))`.
    """

    names: tuple[Scalar, ...]
    options: tuple[Any, ...]
    default: Scalar

    def __init__(self, *options: Any, default: Any = MISSING, **named: Any) -> None:
        names = (*(option_name(to_python(option)) for option in options), *named)
        self._set(names, (*options, *named.values()), default)

    @classmethod
    def of(cls, names: Sequence[Scalar], options: Sequence[Any], default: Any) -> "Choice":
        """Return a choice among options with these names."""
        choice = cls.__new__(cls)
        choice._set(tuple(names), tuple(options), default)
        return choice

    def _set(self, names: tuple[Scalar, ...], options: tuple[Any, ...], default: Any) -> None:
        options = tuple(to_python(option) for option in options)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "default", _default_name(names, options, to_python(default)))

    def with_mapped_options(self, change: Callable[[Any], Any]) -> "Choice":
        """Return the choice with every option changed; an option that names itself is renamed with it."""
        options = [change(option) for option in self.options]
        names = [
            option_name(new) if same_value(name, option_name(old)) else name
            for name, old, new in zip(self.names, self.options, options, strict=True)
        ]
        if self.contains(self.default):
            return Choice.of(names, options, names[self.names.index(self.default)])
        return Choice.of(names, options, change(self.default))

    def problem(self) -> str | None:
        """Return the error of this parameter, or None."""
        if not self.names:
            return "Choice() has no options\nhint: pass at least one"
        for index, (name, option) in enumerate(zip(self.names, self.options, strict=True)):
            if found := _option_problem(name, option):
                return found
            for earlier, other in zip(self.names[:index], self.options, strict=False):
                if same_value(option, other):
                    return f"options {earlier!r} and {name!r} are equal\nhint: remove one"
            # Optuna compares options with ==, so 1, 1.0 and True would be one option to it.
            if name in self.names[:index]:
                return f"option {name!r} is given twice\nhint: remove one, or name both, as in Choice(a=..., b=...)"
        if not self.contains(self.default):
            return f"got default={short_repr(self.default)}, expected one of {', '.join(map(repr, self.names))}"
        return None

    def contains(self, value: object) -> bool:
        """Return True if a value is the name of an option."""
        return any(same_value(value, name) for name in self.names)

    def option(self, name: Scalar) -> Any:
        """Return the option with this name."""
        return self.options[self.names.index(name)]

    def values(self) -> Sequence[Scalar]:
        """Return the names of all options, in order."""
        return self.names

    @property
    def count(self) -> float:
        """The number of options."""
        return len(self.names)

    def __repr__(self) -> str:
        parts, named = [], False
        for name, option in zip(self.names, self.options, strict=True):
            # Python requires a keyword for every argument after the first keyword.
            named = named or not same_value(name, option_name(option))
            parts.append(f"{name}={option!r}" if named else repr(option))
        if self.names and not same_value(self.default, self.names[0]):
            parts.append(f"default={self.default!r}")
        return f"Choice({', '.join(parts)})"


def option_name(option: Any) -> Scalar:
    """Return the name under which an option is stored: itself if it is a JSON scalar, else its own short name."""
    if option is None or isinstance(option, str | int | float | bool):
        return option
    name = getattr(option, "option_name", None)
    return name if isinstance(name, str) else short_repr(option)


def _option_problem(name: Scalar, option: Any) -> str | None:
    if isinstance(name, float) and not math.isfinite(name):
        return f"got the option {name!r}, expected a finite number"
    if isinstance(name, str) and not name.isprintable():
        return f"got the option {name!r}, expected printable text"
    if not same_value(name, option_name(option)) and not is_name(name):
        return f"got the option name {name!r}, expected a Python name"
    return None


def is_name(name: object) -> bool:
    """Return True for the name of a field or an option: a Python name, so that a dotted name has one meaning."""
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)


def _default_name(names: tuple[Scalar, ...], options: tuple[Any, ...], default: Any) -> Any:
    if default is MISSING:
        return names[0] if names else None
    for candidates in (names, options):
        for name, candidate in zip(names, candidates, strict=True):
            if same_value(default, candidate):
                return name
    return default
