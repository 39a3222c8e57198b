"""The functions of the members of a class, and the values that a function has captured."""

import functools
from types import CellType, FunctionType
from typing import Any


def captured_by(function: FunctionType) -> dict[str, Any]:
    """Return the defaults of a function, by position or name, and the values in its closure."""
    by_place = {str(place): value for place, value in enumerate(function.__defaults__ or ())}
    return {**by_place, **(function.__kwdefaults__ or {}), **_closure(function)}


def _closure(function: FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    return {name: _contents(cell) for name, cell in cells if name != "__class__"}


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing assigned yet
        return None


def functions_of(member: Any) -> list[Any] | None:
    """Return the functions of a member of a class, or None for an attribute."""
    if isinstance(member, FunctionType):
        return [member]
    if isinstance(member, staticmethod | classmethod):
        return [member.__func__]
    if isinstance(member, property):
        return [each for each in (member.fget, member.fset, member.fdel) if each is not None]
    if isinstance(member, functools.cached_property):
        return [member.func]
    return None


def is_generated(function: Any) -> bool:
    """Return True for a method that Python generated, such as those of a dataclass."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename == "<string>" and function.__name__.startswith("__")
