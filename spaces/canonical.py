"""The canonical JSON form of a space, its fingerprint, and the differences between two spaces.

The form holds no code: it stores the name of a function, a hash of its source, and hashes of what it uses.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from spaces.backbones import BACKBONES, MODELS, Branch
from spaces.contents import is_number, short_hash
from spaces.data import DATA
from spaces.errors import SpaceError
from spaces.heads import HEADS
from spaces.parameters import Choice, Float, Int
from spaces.records import Record
from spaces.scalars import short_repr
from spaces.source_fingerprint import form_of
from spaces.space import Space
from spaces.tracing import has_code
from spaces.training import OPTIMIZERS, SCHEDULES, Augment, FineTune

PARTS = (Space, Augment, FineTune, Branch, *DATA, *BACKBONES, *HEADS, *MODELS, *OPTIMIZERS, *SCHEDULES)
RECORDS: dict[str, type[Record]] = {record.__name__: record for record in PARTS}


def to_json(space: Any) -> Any:
    """Return the canonical form of a space, a recipe or a part of one: dicts, lists and JSON scalars."""
    if isinstance(space, Record):
        fields = {name: to_json(value) for name, (value, _) in space.children().items()}
        return {"record": type(space).__name__, **fields}
    if isinstance(space, Int | Float):
        return {"parameter": type(space).__name__, **dataclasses.asdict(space)}
    if isinstance(space, Choice):
        options = [[name, to_json(option)] for name, option in zip(space.names, space.options, strict=True)]
        return {"parameter": "Choice", "options": options, "default": space.default}
    if isinstance(space, tuple | list):
        return [to_json(value) for value in space]
    return form_of(space) if has_code(space) else space


def from_json(form: Any) -> Any:
    """Return the space, recipe or part with this canonical form.

    Raises:
        SpaceError: The form contains a function, or is not a canonical form.
    """
    if isinstance(form, list):
        return tuple(from_json(value) for value in form)
    if not isinstance(form, dict):
        return form
    try:
        return _made(form)
    except (KeyError, TypeError, ValueError) as error:
        raise SpaceError(f"got {short_repr(form)}, expected the canonical form of a space") from error


def fingerprint(space: Space) -> str:
    """Return sixteen hexadecimal digits, which are equal if and only if two spaces mean the same."""
    return short_hash(json.dumps(to_json(space), sort_keys=True, separators=(",", ":")))


def differences(old: Any, new: Any, places: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines that differ between two canonical forms: `- name = old` and `+ name = new`.

    `places` has the file and line of the functions in the new form.
    """
    before, after = dict(_lines(old, "")), dict(_lines(new, ""))
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    lines = []
    for name in (name for name in changed if isinstance(name, str)):
        used = [key for key in changed if isinstance(key, tuple) and key[0] == name]
        for sign, side, where in (("-", before, {}), ("+", after, places or {})):
            parts = [
                f", {key[1]} = {side[key]}{f' ({where[key[1]]})' if key[1] in where else ''}"
                for key in used
                if key in side
            ]
            lines += [f"{sign} {name} = {side[name]}{''.join(parts)}"] if name in side else []
    return lines


def _made(form: dict[str, Any]) -> Any:
    fields = {key: value for key, value in form.items() if key not in ("record", "parameter")}
    if "record" in form:
        return RECORDS[form["record"]](**{key: from_json(value) for key, value in fields.items()})
    if "function" in form:
        raise SpaceError(f"function {form['function']!r} is not stored with the space\nhint: load the space file")
    if form["parameter"] == "Choice":
        names, options = zip(*form["options"], strict=True)
        return Choice.of(names, [from_json(option) for option in options], form["default"])
    return {"Int": Int, "Float": Float}[form["parameter"]](**fields)


def _lines(form: Any, name: str) -> Iterator[tuple[str | tuple[str, str], str]]:
    """Yield the values of a form by dotted name, and the parts that its functions use by the pair of both names."""
    if isinstance(form, dict) and "record" in form:
        yield name or "space", form["record"]
        for key, value in form.items():
            if key != "record":
                yield from _lines(value, f"{name}.{key}" if name else key)
    elif isinstance(form, dict) and form.get("parameter") == "Choice":
        names = ", ".join(repr(option) for option, _ in form["options"])
        yield name, f"Choice({names}, default={form['default']!r})"
        for option, value in form["options"]:
            if value != option:
                yield from _lines(value, f"{name}.{option}")
    elif isinstance(form, dict) and "parameter" in form:
        yield name, repr(from_json(form))
    elif isinstance(form, dict):
        yield name, f"{form['function']}(), source {form['source']}"
        for used, value in form.get("uses", {}).items():
            yield (name, used), value if is_number(value) else f"source {value}"
    else:
        yield name, repr(form)
