"""What a function means, as text: it tells two functions apart in different processes, without their code."""

import ast
import hashlib
import inspect
import sys
import textwrap
from pathlib import PurePath
from types import CellType, CodeType
from typing import Any


def hashed(text: str) -> str:
    """Sixteen hexadecimal digits for a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def meaning(function: Any) -> str:
    """The function's source without comments and layout, and the plain values that it has captured.

    What the function calls is not looked into.
    """
    captured = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    captured += map(_contents, function.__closure__ or ())
    return "\n".join([_source(function), *map(_captured, captured)])


def meaning_of_object(value: Any) -> str:
    """The source of the methods of an object's class, also inherited ones, and the plain values that it holds.

    A class of an installed package is told by its name, so that a new version of the package changes nothing.
    """
    classes = [each for each in type(value).__mro__ if each is not object]
    held = [f"{name}={_captured(item)}" for name, item in sorted(vars(value).items()) if not callable(item)]
    return "\n".join([*map(_meaning_of_class, classes), *held])


def _meaning_of_class(kind: type) -> str:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
    if not {"site-packages", "dist-packages"}.isdisjoint(PurePath(file).parts):
        return kind.__qualname__
    parts = [kind.__qualname__]
    for name, member in vars(kind).items():
        if inspect.isfunction(member):
            parts.append(meaning(member))
        elif not name.startswith("__"):
            parts.append(f"{name}={_captured(member)}")
    return "\n".join(parts)


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing assigned yet
        return None


def _captured(value: Any) -> str:
    if isinstance(value, tuple | list):
        return str([_captured(each) for each in value])
    if value is None or isinstance(value, str | int | float | bool):
        return repr(value)
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _source(function: Any) -> str:
    # The source of a lambda is the whole statement around it, so it is told by its code.
    if function.__name__ != "<lambda>":
        try:
            return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
        except (OSError, SyntaxError):
            pass
    return _code(function.__code__)


def _code(code: CodeType) -> str:
    return repr((code.co_code, [_const(const) for const in code.co_consts], code.co_names, code.co_varnames))


def _const(const: Any) -> str:
    if isinstance(const, CodeType):
        return _code(const)
    # The order of a set differs from process to process.
    return str(sorted(map(repr, const))) if isinstance(const, frozenset) else repr(const)
