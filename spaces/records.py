"""What a recipe's records have in common: fields with a rule, which hold a value or a parameter."""

import dataclasses
import difflib
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any

from spaces.parameters import PARAMETERS, Choice, Int, Parameter
from spaces.scalars import is_real, is_whole, same_value, short_repr, to_python


@dataclass(frozen=True)
class Rule:
    """What a field may hold.

    Args:
        kind: One of the names in `_KINDS`.
        low: Smallest number, or None.
        high: Largest number, or None.
        above: `low` itself is excluded.
        options: The texts or numbers that are allowed; None for any.
        records: The records that are allowed, for `record`.
        optional: None is allowed.
        fixed: A parameter is not allowed, since trials could not be compared.
    """

    kind: str
    low: float | None = None
    high: float | None = None
    above: bool = False
    options: tuple[Any, ...] | None = None
    records: tuple[type, ...] = ()
    optional: bool = False
    fixed: bool = False

    def problem(self, value: Any) -> str | None:
        """What is wrong with one fixed value, or None."""
        if (value is None and self.optional) or _KINDS[self.kind](self, value):
            return None
        if isinstance(value, str) and self.options and len(self.options) > 10:
            nearest = difflib.get_close_matches(value, self.options, n=3, cutoff=0.3) or self.options[:3]
            return f"{short_repr(value)} is not known: did you mean {' or '.join(nearest)}?"
        if isinstance(value, type) and value in self.records:
            return f"must be {self.expected()}, got the class {value.__name__}: write {value.__name__}(...)"
        if self.kind in ("path", "share_or_folder") and _is_undecoded(value):
            return f"must be valid UTF-8, got {short_repr(value)}: rename the file or folder"
        return f"must be {self.expected()}, got {short_repr(value)}"

    def expected(self) -> str:
        """What the field may hold, in words."""
        if self.kind == "record":
            text = " or ".join(f"{record.__name__}(...)" for record in self.records)
        elif self.options is not None:
            text = " or ".join(repr(option) for option in self.options)
        else:
            text = _WORDS[self.kind] + self._range()
        return f"{text} or None" if self.optional else text

    def normal(self, value: Any) -> Any:
        """The field's value, or its parameter, in the one form that equal meanings share."""
        return value.with_mapped_options(self._normal) if isinstance(value, Choice) else self._normal(value)

    def _normal(self, value: Any) -> Any:
        value = to_python(value)
        if self.kind in ("real", "share_or_folder") and is_real(value):
            return float(value) + 0.0
        if self.kind in ("path", "share_or_folder") and isinstance(value, str | os.PathLike):
            return str(PurePath(value)) if value != "" else value
        if self.kind == "size" and isinstance(value, list | tuple):
            sides = tuple(to_python(side) for side in value)
            return sides[0] if len(sides) == 2 and same_value(*sides) else sides
        if self.kind == "names" and isinstance(value, list):
            return tuple(value)
        return value

    def allows(self, parameter: Parameter) -> bool:
        """Whether this kind of parameter can stand in the field."""
        if isinstance(parameter, Int):
            return self.kind in ("whole", "real", "size", "scalar")
        return isinstance(parameter, Choice) or self.kind in ("real", "scalar")

    def _in_range(self, value: float) -> bool:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low <= value <= high and not (self.above and value == low)

    def _is_option(self, value: Any) -> bool:
        return self.options is None or value in self.options

    def _range(self) -> str:
        if self.low is not None and self.high is not None:
            return f" {'above' if self.above else 'from'} {self.low:g} {'up to' if self.above else 'to'} {self.high:g}"
        if self.low is not None:
            return f" {'above' if self.above else 'of at least'} {self.low:g}"
        return ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value and not _is_undecoded(value)


def _is_undecoded(value: Any) -> bool:
    """Return True for a path that cannot be stored as text, since its bytes are no UTF-8."""
    return isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_size(rule: Rule, value: Any) -> bool:
    sides = value if isinstance(value, tuple) else (value, value)
    return len(sides) == 2 and all(is_whole(side) and rule._in_range(side) for side in sides)


def _are_names(value: Any) -> bool:
    is_filled = isinstance(value, tuple) and len(value) > 1 and len(set(map(str, value))) == len(value)
    return is_filled and all(isinstance(name, str) and name and not set(name) & {"/", "\0"} for name in value)


_KINDS: Mapping[str, Callable[[Rule, Any], bool]] = {
    "whole": lambda rule, value: is_whole(value) and rule._in_range(value) and rule._is_option(value),
    "real": lambda rule, value: is_real(value) and rule._in_range(value),
    "switch": lambda rule, value: isinstance(value, bool),
    "text": lambda rule, value: isinstance(value, str) and rule._is_option(value),
    "path": lambda rule, value: _is_path(value),
    "share_or_folder": lambda rule, value: _is_path(value) or (is_real(value) and rule._in_range(value)),
    "size": _is_size,
    "names": lambda rule, value: _are_names(value),
    "function": lambda rule, value: isinstance(value, partial) or inspect.isfunction(value) or inspect.ismethod(value),
    "record": lambda rule, value: isinstance(value, rule.records),
    "object": lambda rule, value: True,
    "scalar": lambda rule, value: value is None or isinstance(value, str | bool) or is_real(value),
}

_WORDS: Mapping[str, str] = {
    "whole": "a whole number",
    "real": "a number",
    "switch": "True or False",
    "text": "text",
    "path": "a path",
    "share_or_folder": "a folder, or a share",
    "size": "a number of pixels, or (height, width), each",
    "names": "at least two different names of sub-folders",
    "function": "a function",
    "object": "an object",
    "scalar": "a number, text, True, False or None",
}


def field(rule: Rule, default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field that holds to a rule."""
    return dataclasses.field(default=default, metadata={"rule": rule})


def int_field(default: Any = dataclasses.MISSING, low: int = 0, high: int | None = None, **more: Any) -> Any:
    """A field for a whole number."""
    return field(Rule("whole", low, high, **more), default)


def float_field(default: Any = dataclasses.MISSING, low: float = 0.0, high: float | None = None, **more: Any) -> Any:
    """A field for a real number."""
    return field(Rule("real", low, high, **more), default)


def bool_field(default: Any = dataclasses.MISSING, **more: Any) -> Any:
    """A field for True or False."""
    return field(Rule("switch", **more), default)


def text_field(default: Any = dataclasses.MISSING, *options: str, **more: Any) -> Any:
    """A field for text, one of `options` where they are given."""
    return field(Rule("text", options=options or None, **more), default)


class Record:
    """One part of a recipe: a frozen dataclass whose fields may hold parameters."""

    def __post_init__(self) -> None:
        for name, (value, rule) in self.children().items():
            object.__setattr__(self, name, rule.normal(value))

    @property
    def option_name(self) -> str:
        """The name of this record as an option of a `Choice`."""
        return type(self).__name__.lower()

    def __repr__(self) -> str:
        defaults = {field.name: field.default for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        parts = [f"{n}={v!r}" for n, (v, _) in self.children().items() if not same_value(v, defaults.get(n))]
        return f"{type(self).__name__}({', '.join(parts)})"

    def children(self) -> dict[str, tuple[Any, Rule]]:
        """The value and the rule of every field, by name, in the order of declaration."""
        return {
            field.name: (getattr(self, field.name), field.metadata["rule"])
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
        }

    def with_children(self, values: Mapping[str, Any]) -> Any:
        """The same record with other values in its fields."""
        return dataclasses.replace(self, **values)  # type: ignore[type-var]


def problem_of(value: Any, rule: Rule) -> str | None:
    """What is wrong with a field's value or with any value its parameter can take, or None."""
    if not isinstance(value, PARAMETERS):
        return rule.problem(value)
    if rule.fixed:
        return f"must be fixed, since trials could not be compared: got {short_repr(value)}"
    if not rule.allows(value):
        return f"must be {rule.expected()}, got {short_repr(value)}"
    if found := value.problem():
        return found
    return next((found for each in _extremes(value, rule) if (found := _value_problem(each, rule))), None)


def _extremes(parameter: Parameter, rule: Rule) -> Iterable[Any]:
    """The values that tell whether a parameter's values all keep to the rule."""
    if isinstance(parameter, Choice):
        return parameter.options
    return parameter.values() if rule.options else (parameter.low, parameter.high)


def _value_problem(value: Any, rule: Rule) -> str | None:
    if isinstance(value, PARAMETERS):
        return f"an option of a Choice cannot be a parameter itself, got {short_repr(value)}: put it in a record"
    return rule.problem(value)
