"""The base of all records of a space: each field has a rule, and holds a value or a parameter."""

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
    """The rule of one field: the values and parameters that it may hold.

    Args:
        kind: A key of `_KINDS`.
        low: Smallest number, or None.
        high: Largest number, or None.
        above: Whether `low` itself is excluded.
        options: The only texts or numbers that are allowed; None allows any.
        records: The records that are allowed, for `record`.
        optional: Whether None is allowed.
        fixed: Whether parameters are refused, because trials could not be compared.
        several: Whether a list of values is allowed in place of one.
    """

    kind: str
    low: float | None = None
    high: float | None = None
    above: bool = False
    options: tuple[Any, ...] | None = None
    records: tuple[type, ...] = ()
    optional: bool = False
    fixed: bool = False
    several: bool = False

    def problem(self, value: Any) -> str | None:
        """Return the error of one fixed value, or None."""
        if self.several and isinstance(value, tuple):
            return next((found for each in value if (found := self.problem(each))), None)
        if (value is None and self.optional) or _KINDS[self.kind](self, value):
            return None
        if isinstance(value, str) and self.options and len(self.options) > 10:
            nearest = difflib.get_close_matches(value, self.options, n=3, cutoff=0.3) or self.options[:3]
            return f"got {short_repr(value)}, which is not known\nhint: did you mean {' or '.join(nearest)}?"
        if isinstance(value, type) and value in self.records:
            return f"got the class {value.__name__}, expected {self.expected()}\nhint: write {value.__name__}(...)"
        if self.kind in ("path", "share_or_folder") and _is_undecoded(value):
            return f"got {short_repr(value)}, expected valid UTF-8\nhint: rename the file or folder"
        return f"got {short_repr(value)}, expected {self.expected()}"

    def expected(self) -> str:
        """Describe what the field may hold."""
        if self.kind == "record":
            text = " or ".join(f"{record.__name__}(...)" for record in self.records)
        elif self.options is not None:
            text = " or ".join(repr(option) for option in self.options)
        else:
            text = _WORDS[self.kind] + self._range()
        return f"{text} or None" if self.optional else text

    def normal(self, value: Any) -> Any:
        """Return the field's value or parameter in its normal form, which equal meanings share."""
        return value.with_mapped_options(self._normal) if isinstance(value, Choice) else self._normal(value)

    def _normal(self, value: Any) -> Any:
        if self.several and isinstance(value, list | tuple):
            return tuple(self._normal(each) for each in value)
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
        """Return True if the field can hold this kind of parameter."""
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
            first, last = ("above", "and at most") if self.above else ("from", "to")
            return f" {first} {self.low:g} {last} {self.high:g}"
        if self.low is not None:
            return f" {'above' if self.above else 'of at least'} {self.low:g}"
        return ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value and not _is_undecoded(value)


def _is_undecoded(value: Any) -> bool:
    """Return True for a path that cannot be stored as text because its bytes are not UTF-8."""
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
    "whole": "an integer",
    "real": "a number",
    "switch": "True or False",
    "text": "text",
    "path": "a path",
    "share_or_folder": "a folder, or a fraction",
    "size": "an integer or (height, width), in pixels,",
    "names": "at least two different names of subfolders",
    "function": "a function",
    "object": "an object",
    "scalar": "a number, text, True, False or None",
}


def field(rule: Rule, default: Any = dataclasses.MISSING) -> Any:
    """Declare a dataclass field with a rule."""
    return dataclasses.field(default=default, metadata={"rule": rule})


def int_field(default: Any = dataclasses.MISSING, low: int = 0, high: int | None = None, **more: Any) -> Any:
    """Declare a field for an integer."""
    return field(Rule("whole", low, high, **more), default)


def float_field(default: Any = dataclasses.MISSING, low: float = 0.0, high: float | None = None, **more: Any) -> Any:
    """Declare a field for a real number."""
    return field(Rule("real", low, high, **more), default)


def bool_field(default: Any = dataclasses.MISSING, **more: Any) -> Any:
    """Declare a field for True or False."""
    return field(Rule("switch", **more), default)


def text_field(default: Any = dataclasses.MISSING, *options: str, **more: Any) -> Any:
    """Declare a field for text, which must be one of `options` if there are any."""
    return field(Rule("text", options=options or None, **more), default)


class Record:
    """One part of a space: a frozen dataclass whose fields may hold parameters."""

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
        """Return the value and the rule of each field, by name, in the order of declaration."""
        return {
            field.name: (getattr(self, field.name), field.metadata["rule"])
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
        }

    def with_children(self, values: Mapping[str, Any]) -> Any:
        """Return the same record with other values in its fields."""
        constructor: Any = type(self)
        return constructor(**{name: value for name, (value, _) in self.children().items()} | dict(values))


def with_fields(record: Record, values: Mapping[str, Any]) -> Any:
    """Return a recipe, or a part of one, with other values in some fields, by dotted name."""
    for name, value in values.items():
        field_name, _, rest = name.partition(".")
        inner = with_fields(getattr(record, field_name), {rest: value}) if rest else value
        record = record.with_children({field_name: inner})
    return record


def problem_of(value: Any, rule: Rule) -> str | None:
    """Return the error of a field's value, or of any value that its parameter can take, or None."""
    if not isinstance(value, PARAMETERS):
        return rule.problem(value)
    if rule.fixed:
        return f"got {short_repr(value)}, expected a fixed value, since trials could not be compared"
    if not rule.allows(value):
        return f"got {short_repr(value)}, expected {rule.expected()}"
    if found := value.problem():
        return found
    return next((found for each in _extremes(value, rule) if (found := _value_problem(each, rule))), None)


def _extremes(parameter: Parameter, rule: Rule) -> Iterable[Any]:
    """Return the values that show whether all values of a parameter keep to the rule."""
    if isinstance(parameter, Choice):
        return parameter.options
    return parameter.values() if rule.options else (parameter.low, parameter.high)


def _value_problem(value: Any, rule: Rule) -> str | None:
    if isinstance(value, PARAMETERS):
        return f"got the option {short_repr(value)}, but an option of a Choice cannot be a parameter"
    return rule.problem(value)
